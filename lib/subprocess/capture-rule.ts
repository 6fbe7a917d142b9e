/** Which children are captured: all but those that the option `capture.except` names. */

import type { ChildProcess } from 'node:child_process'
import { basename } from 'node:path'

/** What `capture.except` names. */
export class CaptureRule {
  readonly #names = new Set<string>()
  readonly #patterns: RegExp[] = []

  constructor(except: readonly (string | RegExp)[]) {
    for (const name of except) {
      if (typeof name === 'string') this.#names.add(name)
      // A copy: its `lastIndex` is ours to set.
      else this.#patterns.push(new RegExp(name))
    }
  }

  /** Whether the child was started as a command that is captured. */
  covers({ spawnfile, spawnargs }: ChildProcess): boolean {
    if (this.#names.has(spawnfile) || this.#names.has(basename(spawnfile))) return false
    const commandLine = spawnargs.join(' ')
    return !this.#patterns.some((pattern) => {
      // Where the last test has left it, with the flags g and y.
      pattern.lastIndex = 0
      return pattern.test(commandLine)
    })
  }
}
