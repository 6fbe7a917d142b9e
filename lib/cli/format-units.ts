/** Formats times and sizes for people. */

const secondMs = 1_000
const minuteMs = 60 * secondMs
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs

/** A time in ms, in the units that fit it: `3.2 s`, `4 min 10 s`, `2 h 5 min`, `3 d 1 h`. */
export function duration(ms: number): string {
  // If the system hides its uptime, the age of a process is unknown.
  if (!Number.isFinite(ms)) return '?'
  if (ms < minuteMs) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`
  if (ms < hourMs) return inTwoUnits(ms, minuteMs, 'min', secondMs, 's')
  if (ms < dayMs) return inTwoUnits(ms, hourMs, 'h', minuteMs, 'min')
  return inTwoUnits(ms, dayMs, 'd', hourMs, 'h')
}

function inTwoUnits(ms: number, largeMs: number, large: string, smallMs: number, small: string): string {
  return `${Math.floor(ms / largeMs)} ${large} ${Math.floor((ms % largeMs) / smallMs)} ${small}`
}

/** A size in bytes, in the unit that fits it: `812 kB`, `96 MB`, `1.4 GB`. */
export function size(bytes: number): string {
  if (bytes < 1e6) return `${Math.round(bytes / 1e3)} kB`
  if (bytes < 1e9) return `${Math.round(bytes / 1e6)} MB`
  return `${(bytes / 1e9).toFixed(1)} GB`
}
