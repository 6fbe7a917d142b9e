/** Knows when processes are alive and when none is: each holds the writing end of a pipe, whose end is the end of the last. */

import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, mkdtempSync, openSync, rmSync } from 'node:fs'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sharedNow } from './clock.js'

/** Arguments of `sh` for a command that says a word to the pipe at `path`, and holds it from then on. */
export function witnessed(path: string, command: string): string[] {
  return ['-c', `exec 3>"$0"; echo >&3; ${command}`, path]
}

export class Witness {
  readonly #folder = mkdtempSync(join(tmpdir(), 'benchmark-'))
  /** For `witnessed`. */
  readonly path = join(this.#folder, 'pipe')
  readonly #socket: Socket
  /** Keeps the pipe from ending before the first process has opened it. */
  #ownEnd: number | undefined
  #count = 0
  #goneAt: number | undefined

  constructor() {
    execFileSync('mkfifo', [this.path])
    const fd = openSync(this.path, constants.O_RDONLY | constants.O_NONBLOCK)
    this.#ownEnd = openSync(this.path, constants.O_WRONLY)
    this.#socket = new Socket({ fd, readable: true, writable: false })
    this.#socket.on('data', (bytes: Buffer) => {
      this.#count += bytes.length
    })
    this.#socket.once('end', () => {
      this.#goneAt = sharedNow()
    })
  }

  /** How many processes have come to hold the pipe. */
  get count(): number {
    return this.#count
  }

  /** Resolves when so many processes hold the pipe. */
  async present(count: number): Promise<void> {
    while (this.#count < count) await once(this.#socket, 'data')
    this.#letGo()
  }

  /** Resolves when none of them is alive, with the time of that by the clock that all processes share. */
  async gone(): Promise<number> {
    this.#letGo()
    if (this.#goneAt === undefined) await once(this.#socket, 'end')
    return this.#goneAt as number
  }

  close(): void {
    this.#letGo()
    this.#socket.destroy()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #letGo(): void {
    if (this.#ownEnd === undefined) return
    closeSync(this.#ownEnd)
    this.#ownEnd = undefined
  }
}
