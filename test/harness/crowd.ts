/** Many processes that have nothing to do with the test. They sleep until the test ends. */

import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'

const program = fileURLToPath(new URL('../../../test/programs/crowd.sh', import.meta.url))

export class Crowd {
  readonly #first: ChildProcessByStdio<Writable, Readable, Readable>

  /** Starts this many hundreds of processes. Resolves when all of them sleep. */
  static async start(hundreds: number): Promise<Crowd> {
    const crowd = new Crowd(hundreds)
    await once(crowd.#first.stdout, 'end')
    return crowd
  }

  private constructor(hundreds: number) {
    this.#first = spawn('sh', [program, String(hundreds)], { stdio: 'pipe' })
    this.#first.stdout.resume()
    this.#first.stderr.resume()
  }

  /** Resolves when all of them have ended. */
  async end(): Promise<void> {
    // All of them hold the standard error of the first one open.
    const ended = once(this.#first.stderr, 'end')
    this.#first.stdin.end()
    await ended
  }
}
