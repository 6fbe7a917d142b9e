/** Options that are none, but look like one: they are ignored, as `child_process` ignores them, and a line in the log tells. */

import leven from 'leven'
import type { Logger } from '../log.js'

// Of three letters, such as `cwd`, one of another library's may differ by two.
const shortName = 4
// What a server gives once, it gives with each request.
const told = new Set<string>()

/** Logs a warning, once for each name, about what is probably meant to be another option. */
export function hintAtMisspelt(options: object, known: readonly string[], log: Logger): void {
  for (const option of Object.keys(options)) {
    if (known.includes(option) || told.has(option)) continue
    const meant = known.find((name) => isLike(option, name))
    if (meant === undefined) continue
    told.add(option)
    log.warn(
      { option, meant },
      `a command was given the option \`${option}\`, which is ignored: is it \`${meant}\`?`
    )
  }
}

function isLike(given: string, name: string): boolean {
  const maxDistance = name.length < shortName ? 0 : 2
  return leven(given.toLowerCase(), name.toLowerCase()) <= maxDistance
}
