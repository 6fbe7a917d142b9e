/** A pipe that processes hold open: each writes its pid into it, and its end proves that all have ended. */

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

// However the benchmark ends, the processes that it started end, too: see the 'exit' listener below.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(1))

export class Pipe {
  /** The lines that are not pids. */
  readonly notes: string[] = []
  /** Resolves when no process holds the pipe any more, with the time by the shared clock. */
  readonly ended: Promise<number>
  readonly #folder = mkdtempSync(join(tmpdir(), 'held-'))
  readonly #path = join(this.#folder, 'pipe')
  readonly #socket: Socket
  /** Keeps the pipe open until the first process has opened it. */
  #ownEnd: number | undefined
  readonly #holders: ProcessStat[] = []
  /** The number of processes that were dead when their pids were read. */
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

  /** The environment for the programs. */
  get env(): NodeJS.ProcessEnv {
    return { ...process.env, HELD_PIPE: this.#path }
  }

  /**
   * Resolves when that many processes hold the pipe and sleep, in the order in which they wrote their pids.
   * From then on, the pipe ends with the last of them. Rejects if there are more or fewer.
   */
  async held(count: number): Promise<readonly ProcessStat[]> {
    const late = AbortSignal.timeout(startedWithinMs)
    try {
      while (this.#holders.length < count) await once(this.#socket, 'pid', { signal: late })
      // A process that has written its pid may not have called exec yet.
      while (!this.#holders.every(({ pid }) => statOf(pid)?.state === 'S')) {
        late.throwIfAborted()
        await pause(2)
      }
    } catch {
      // Timed out: checked below.
    }
    const living = this.living.length
    ensure(living === count, `${living} of ${count} processes are alive`)
    ensure(this.#lost === 0, `${this.#lost} processes ended immediately`)
    this.#closeOwnEnd()
    return this.#holders
  }

  /** The processes that are alive. */
  get living(): ProcessStat[] {
    return this.#holders.filter(isAlive)
  }

  /** Ends all processes. Resolves when none is alive. */
  async end(): Promise<void> {
    this.#killLiving()
    await this.ended
    this.close()
  }

  /** Ends the remaining processes and closes the pipe. */
  close(): void {
    process.off('exit', this.#close)
    this.#killLiving()
    this.#closeOwnEnd()
    // A process that has yet to write its pid dies of SIGPIPE.
    this.#socket.destroy()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #killLiving(): void {
    for (const { pid } of this.living) kill(pid)
  }

  #closeOwnEnd(): void {
    if (this.#ownEnd !== undefined) closeSync(this.#ownEnd)
    this.#ownEnd = undefined
  }

  #read(text: string): void {
    const lines = (this.#text + text).split('\n')
    this.#text = lines.pop() as string
    for (const line of lines) {
      if (!/^\d+$/.test(line)) {
        this.notes.push(line)
        continue
      }
      const stat = statOf(Number(line))
      if (stat === undefined) this.#lost++
      else this.#holders.push(stat)
    }
    this.#socket.emit('pid')
  }
}
