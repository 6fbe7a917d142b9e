/**
 * Knows which processes of a test are alive: each holds a connection to a named pipe, which the system closes
 * when the process ends, however it ends.
 */

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

const variable = 'TEST_WITNESS'

/** A process that tells the witness that it is alive. */
interface Seen {
  readonly pid: number
  readonly isGone: Promise<void>
  hasGone: boolean
}

export class Witness {
  readonly #server: Server
  readonly #byName = new Map<string, Seen>()
  #wake = (): void => {}
  #changed = this.#nextChange()
  readonly path: string

  static async open(): Promise<Witness> {
    const witness = new Witness()
    await once(witness.#server, 'listening')
    return witness
  }

  private constructor() {
    this.path = `\\\\.\\pipe\\witness-${randomBytes(8).toString('hex')}`
    this.#server = createServer((socket) => this.#meet(socket)).listen({ path: this.path, exclusive: true })
    // A test that has failed must not keep the run alive.
    this.#server.unref()
  }

  /** The environment of a process that is to be seen. */
  get env(): NodeJS.ProcessEnv {
    return { ...process.env, [variable]: this.path }
  }

  /** Resolves with the pid when a process of this name has come. */
  async comes(name: string): Promise<number> {
    for (;;) {
      const seen = this.#byName.get(name)
      if (seen !== undefined) return seen.pid
      await this.#changed
    }
  }

  /** Resolves when the process of this name, which has come before, is gone. */
  async goes(name: string): Promise<void> {
    const seen = this.#byName.get(name)
    if (seen === undefined) throw new Error(`${name} has never come`)
    await seen.isGone
  }

  isAlive(name: string): boolean {
    return this.#byName.get(name)?.hasGone === false
  }

  /** The names of all processes that are alive. */
  alive(): string[] {
    return [...this.#byName.keys()].filter((name) => this.isAlive(name))
  }

  /** Ends what is still alive. */
  close(): void {
    for (const [name, { pid }] of this.#byName) if (this.isAlive(name)) process.kill(pid, 'SIGKILL')
    this.#server.close()
  }

  #meet(socket: Socket): void {
    let line = ''
    let seen: Seen | undefined
    socket.unref()
    socket.on('data', (bytes) => {
      line += bytes
      if (!line.endsWith('\n')) return
      const [name = '', pid] = line.trim().split(' ')
      const isGone = new Promise<void>((resolve) => socket.once('close', () => resolve()))
      seen = { pid: Number(pid), isGone, hasGone: false }
      this.#byName.set(name, seen)
      this.#wake()
    })
    socket.on('error', () => {})
    socket.once('close', () => {
      if (seen !== undefined) seen.hasGone = true
    })
  }

  #nextChange(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#changed = this.#nextChange()
        resolve()
      }
    })
  }
}

/** Tells the witness of this process's environment that this process is alive, under a name. Resolves when that is written. */
export async function tellWitness(name: string): Promise<void> {
  const path = process.env[variable]
  if (path === undefined) return
  const connection = connect(path).on('error', () => {})
  connection.unref()
  await new Promise<void>((resolve) => connection.write(`${name} ${process.pid}\n`, () => resolve()))
}
