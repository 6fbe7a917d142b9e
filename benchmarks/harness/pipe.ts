/** A pipe that processes hold until they die: each says its number into it, and its end is the end of them all. */

import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, mkdtempSync, openSync, rmSync } from 'node:fs'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { ensure } from './benchmark.js'
import { sharedNow } from './clock.js'
import { isAlive, kill, type ProcessStat, statOf } from './processes.js'

const startedWithinMs = 60_000

// Whatever ends the benchmark, what it has started ends, too: see the listener for 'exit' below.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(1))

export class Pipe {
  /** Resolves when no process holds it any more, with the time by the shared clock. */
  readonly ended: Promise<number>
  readonly #folder = mkdtempSync(join(tmpdir(), 'held-'))
  readonly #path = join(this.#folder, 'pipe')
  readonly #socket: Socket
  /** Keeps the pipe from ending before the first process has opened it. */
  #ownEnd: number | undefined
  readonly #holders: ProcessStat[] = []
  /** Processes that were dead when their numbers were read. */
  #lost = 0
  #text = ''
  readonly #close = (): void => this.close()

  constructor() {
    execFileSync('mkfifo', [this.#path])
    const fd = openSync(this.#path, constants.O_RDONLY | constants.O_NONBLOCK)
    this.#ownEnd = openSync(this.#path, constants.O_WRONLY)
    this.#socket = new Socket({ fd, readable: true, writable: false })
    this.#socket.setEncoding('utf8').on('data', (text: string) => this.#read(text))
    this.ended = new Promise((resolve) => this.#socket.once('end', () => resolve(sharedNow())))
    process.once('exit', this.#close)
  }

  /** For the environment of the programs. */
  get env(): NodeJS.ProcessEnv {
    return { ...process.env, HELD_PIPE: this.#path }
  }

  /**
   * Resolves when so many processes hold the pipe and sleep, the first that said its number first; the pipe ends with the
   * last of them. Throws when they are more, or fewer.
   */
  async held(count: number): Promise<readonly ProcessStat[]> {
    const late = AbortSignal.timeout(startedWithinMs)
    try {
      while (this.#holders.length < count) await once(this.#socket, 'said', { signal: late })
      // One that has said its number may not have become the program yet that it is to be.
      while (!this.#holders.every(({ pid }) => statOf(pid)?.state === 'S')) {
        late.throwIfAborted()
        await pause(2)
      }
    } catch {
      // Too late: what has come is told of below.
    }
    const living = this.living.length
    ensure(living === count, `${living} processes live that are to be ${count}`)
    ensure(this.#lost === 0, `${this.#lost} processes have ended at once`)
    this.#letGo()
    return this.#holders
  }

  /** Those of the processes that are alive. */
  get living(): ProcessStat[] {
    return this.#holders.filter(isAlive)
  }

  /** Ends all of them, and resolves when none is alive. */
  async end(): Promise<void> {
    this.#killLiving()
    await this.ended
    this.close()
  }

  /** Ends what is left. */
  close(): void {
    process.off('exit', this.#close)
    this.#killLiving()
    this.#letGo()
    // Whoever has yet to say its number dies of SIGPIPE.
    this.#socket.destroy()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #killLiving(): void {
    for (const { pid } of this.living) kill(pid)
  }

  #letGo(): void {
    if (this.#ownEnd !== undefined) closeSync(this.#ownEnd)
    this.#ownEnd = undefined
  }

  #read(text: string): void {
    const lines = (this.#text + text).split('\n')
    this.#text = lines.pop() as string
    for (const line of lines) {
      const stat = statOf(Number(line))
      if (stat === undefined) this.#lost++
      else this.#holders.push(stat)
    }
    this.#socket.emit('said')
  }
}
