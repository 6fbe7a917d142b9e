/** Times and sizes, for people to read. */

const secondMs = 1_000
const minuteMs = 60 * secondMs
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs

/** A time in ms with the unit that fits it: `3.2 s`, `4 min 10 s`, `2 h 5 min`, `3 d 1 h`. */
export function duration(ms: number): string {
  // Where /proc tells no uptime, nobody knows how old a process is.
  if (!Number.isFinite(ms)) return '?'
  if (ms < minuteMs) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`
  if (ms < hourMs) return parts(ms, minuteMs, 'min', secondMs, 's')
  if (ms < dayMs) return parts(ms, hourMs, 'h', minuteMs, 'min')
  return parts(ms, dayMs, 'd', hourMs, 'h')
}

function parts(ms: number, largeMs: number, large: string, smallMs: number, small: string): string {
  return `${Math.floor(ms / largeMs)} ${large} ${Math.floor((ms % largeMs) / smallMs)} ${small}`
}

/** A size in bytes with the unit that fits it: `812 kB`, `96 MB`, `1.4 GB`. */
export function size(bytes: number): string {
  if (bytes < 1e6) return `${Math.round(bytes / 1e3)} kB`
  if (bytes < 1e9) return `${Math.round(bytes / 1e6)} MB`
  return `${(bytes / 1e9).toFixed(1)} GB`
}
