/**
 * Unknown options that look like a known one: ignored, as in `child_process`, but with a warning in the log.
 */

import leven from 'leven'
import type { Logger } from '../log.js'

// A name of three letters, such as `cwd`, may differ from an option of another library by only two letters.
const minLength = 4
const maxDistance = 2
// A server passes the same options with every request.
const warnedNames = new Set<string>()

/** Logs a warning, once per name, for each unknown option that is probably a misspelled known one. */
export function warnOfMisspelledOptions(options: object, known: readonly string[], log: Logger): void {
  for (const option of Object.keys(options)) {
    if (known.includes(option) || warnedNames.has(option)) continue
    const meant = known.find((name) => isSimilar(option, name))
    if (meant === undefined) continue
    warnedNames.add(option)
    log.warn(
      { option, meant },
      `unknown option \`${option}\` of a command is ignored: did you mean \`${meant}\`?`
    )
  }
}

function isSimilar(given: string, name: string): boolean {
  const limit = name.length < minLength ? 0 : maxDistance
  return leven(given.toLowerCase(), name.toLowerCase()) <= limit
}
