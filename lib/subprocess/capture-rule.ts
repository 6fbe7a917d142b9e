/** Which children are captured: all except those that the option `capture.except` matches. */

import type { ChildProcess } from 'node:child_process'
import { basename } from 'node:path'

/** The programs and patterns of `capture.except`. */
export class CaptureRule {
  readonly #names = new Set<string>()
  readonly #patterns: RegExp[] = []

  constructor(except: readonly (string | RegExp)[]) {
    for (const name of except) {
      if (typeof name === 'string') this.#names.add(name)
      // A copy, because covers() sets its `lastIndex`.
      else this.#patterns.push(new RegExp(name))
    }
  }

  /** Whether the child is captured. */
  covers({ spawnfile, spawnargs }: ChildProcess): boolean {
    if (this.#names.has(spawnfile) || this.#names.has(basename(spawnfile))) return false
    const commandLine = spawnargs.join(' ')
    return !this.#patterns.some((pattern) => {
      // With the flags g and y, test() starts where the previous match ended.
      pattern.lastIndex = 0
      return pattern.test(commandLine)
    })
  }
}
