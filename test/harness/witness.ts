/**
 * Knows whether processes are alive: each holds the write end of a pipe open, and
 * the pipe ends when the last one has ended.
 */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, closeSync, constants, mkdtempSync, openSync, readdirSync, rmSync } from 'node:fs'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { patienceMs, startPatienceMs } from './patience.js'
import { end, environmentOf, type Identity, identityOf, isAlive } from './proc.js'

export interface Announced extends Identity {
  readonly name: string
}

export class Witness {
  readonly announced: Announced[] = []
  /** All lines that are not announcements. */
  readonly said: string[] = []
  readonly #path: string
  readonly #socket: Socket
  /** Keeps the pipe open until the first process has opened it. */
  #ownEnd: number | undefined
  #hasEnded = false
  #text = ''

  /** Creates its own pipe, or takes one that `makePipes` has made. */
  constructor(path = makePipes(1)[0] as string) {
    this.#path = path
    const fd = openSync(this.#path, constants.O_RDONLY | constants.O_NONBLOCK)
    this.#ownEnd = openSync(this.#path, constants.O_WRONLY)
    this.#socket = new Socket({ fd, readable: true, writable: false })
    this.#socket.setEncoding('utf8').on('data', (text: string) => this.#read(text))
    this.#socket.once('end', () => {
      this.#hasEnded = true
    })
  }

  /** The environment of the programs, which announce themselves at this path. */
  get env(): NodeJS.ProcessEnv {
    return { ...process.env, WITNESS: this.#path }
  }

  /** Resolves when so many processes have announced themselves, or fails after so many ms. */
  async present(count: number, ms = startPatienceMs): Promise<Announced[]> {
    const names = (): string => this.announced.map(({ pid, name }) => `${pid} ${name}`).join(', ')
    await this.#until(
      'announced',
      () => this.announced.length >= count,
      () => `${count} processes, only ${names()}`,
      ms
    )
    return this.announced
  }

  /** Resolves when that line was written. */
  async heard(text: string): Promise<void> {
    await this.#until(
      'said',
      () => this.said.includes(text),
      () => `${text}, only ${this.said}`
    )
  }

  /** Whether every process has released the pipe within so many ms. */
  async goneWithin(ms: number): Promise<boolean> {
    this.#letGo()
    if (this.#hasEnded) return true
    const timeout = new AbortController()
    // Timers run before the poll for input. With setImmediate, an end that is already there is seen first.
    const timer = setTimeout(() => setImmediate(() => timeout.abort()), ms)
    try {
      await once(this.#socket, 'end', { signal: timeout.signal })
      return true
    } catch {
      return false
    } finally {
      clearTimeout(timer)
    }
  }

  /** The announced processes that are alive. A zombie is not. */
  living(): Announced[] {
    return this.announced.filter(isAlive)
  }

  /**
   * All living processes that have the witness in their environment, announced or not, by a scan of /proc.
   */
  heirs(): number[] {
    const inherited = `WITNESS=${this.#path}`
    const pids = readdirSync('/proc').map(Number).filter(Number.isInteger)
    return pids.filter((pid) => environmentOf(pid).includes(inherited))
  }

  /** Kills what a failed test has left, by pid, and closes the pipe. */
  close(): void {
    for (const { pid } of this.living()) end(pid)
    this.#letGo()
    this.#socket.destroy()
    rmSync(dirname(this.#path), { recursive: true, force: true })
  }

  async #until(event: string, isSo: () => boolean, what: () => string, ms = patienceMs): Promise<void> {
    const signal = AbortSignal.timeout(ms)
    while (!isSo()) {
      await once(this.#socket, event, { signal }).catch((error) => {
        if (!signal.aborted) throw error
        assert.fail(`not heard of within ${ms} ms: ${what()}`)
      })
    }
  }

  #letGo(): void {
    if (this.#ownEnd === undefined) return
    closeSync(this.#ownEnd)
    this.#ownEnd = undefined
  }

  #read(text: string): void {
    const lines = (this.#text + text).split('\n')
    this.#text = lines.pop() as string
    for (const line of lines) {
      const [, pid, name] = /^alive (\d+) (.*)$/.exec(line) ?? []
      if (pid === undefined || name === undefined) {
        this.said.push(line)
        this.#socket.emit('said')
      } else {
        this.announced.push({ ...identityOf(Number(pid)), name })
        this.#socket.emit('announced')
      }
    }
  }
}

/** Makes so many named pipes with one command, each in its own directory. */
export function makePipes(count: number): string[] {
  const folders = Array.from({ length: count }, () => mkdtempSync(join(tmpdir(), 'witness-')))
  // Processes of other users announce themselves too.
  for (const folder of folders) chmodSync(folder, 0o755)
  const paths = folders.map((folder) => join(folder, 'pipe'))
  execFileSync('mkfifo', ['-m', '666', ...paths])
  return paths
}
