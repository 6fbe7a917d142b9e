/** A worker that blocks, and its keeper, played by the test, which asks where the worker is. */

import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { StackSample, StackSampleRequest } from '../../lib/wire/stack-sample.js'
import { type Answer, ask } from './client.js'
import { eventually } from './expectations.js'

const program = fileURLToPath(new URL('./watched-main.js', import.meta.url))
const header = 'header of forty bytes, as it was told___'
const longestStartMs = 30_000

/** The keeper's socket, as the watching thread sees it. */
export class Door {
  /** Connections that have sent their header, the most recent last. */
  readonly connections: Socket[] = []
  readonly path: string
  readonly #server = createServer((socket) => this.#admit(socket))

  constructor(path: string) {
    this.path = path
    this.#server.listen(path)
  }

  /** Asks on the most recent connection, and resolves with the answer. */
  async where(question: Partial<StackSampleRequest> = {}): Promise<StackSample> {
    return (await this.wheres(1, question))[0] as StackSample
  }

  /** Asks so many times at once. */
  async wheres(count: number, question: Partial<StackSampleRequest> = {}): Promise<StackSample[]> {
    const socket = this.connections.at(-1) as Socket
    socket.write(`${JSON.stringify({ type: 'sample-stack', ...question })}\n`.repeat(count))
    let text = ''
    while (text.split('\n').length <= count) text += (await once(socket, 'data'))[0]
    return text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
  }

  close(): void {
    for (const socket of this.connections) socket.destroy()
    this.#server.close()
  }

  #admit(socket: Socket): void {
    socket.setEncoding('utf8').once('data', (text: string) => {
      if (text === header) this.connections.push(socket)
      else socket.destroy()
    })
  }
}

/** The kind of handler that blocks. */
export type Kind = 'fastify-sync' | 'fastify-async' | 'express' | 'http'

export interface WatchedSetup {
  /** What answers the keeper: the watching thread, or, for the negative control, the main thread. */
  readonly answerer?: 'thread' | 'main-thread'
  readonly nodeFlags?: readonly string[]
}

export class Watched {
  readonly folder = mkdtempSync(join(tmpdir(), 'watched-'))
  readonly door = new Door(join(this.folder, 'door'))
  ports!: { readonly fastify: number; readonly express: number; readonly http: number }
  readonly process: ChildProcessByStdio<null, Readable, Readable>
  readonly #releaseFile = join(this.folder, 'release')
  #output = ''
  #errors = ''

  /** Resolves when the worker serves and its thread has connected. */
  static async start(setup: WatchedSetup = {}): Promise<Watched> {
    const watched = new Watched(setup)
    try {
      await eventually('the worker serves', () => watched.said('ports').length > 0, longestStartMs)
      watched.ports = JSON.parse(watched.said('ports')[0] as string)
      await eventually('it is at the door', () => watched.door.connections.length > 0, longestStartMs)
      return watched
    } catch (error) {
      await watched.close()
      throw new Error(`no worker: ${watched.#output} ${watched.#errors}`, { cause: error })
    }
  }

  private constructor({ answerer = 'thread', nodeFlags = [] }: WatchedSetup) {
    const args = [...nodeFlags, program, this.door.path, header, this.#releaseFile, answerer]
    this.process = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    this.process.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text
    })
    this.process.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text
    })
  }

  get pid(): number {
    return this.process.pid as number
  }

  /** Its standard error. */
  get errors(): string {
    return this.#errors
  }

  /** The rest of each output line that begins with that word. */
  said(word: string): string[] {
    const lines = this.#output.split('\n').filter((line) => line.startsWith(word))
    return lines.map((line) => line.slice(word.length + 1))
  }

  /**
   * Sends a request that blocks the worker. Resolves right before it
   * blocks. `answer` resolves after it is released.
   */
  async block(kind: Kind, block: string): Promise<{ answer: Promise<Answer> }> {
    const port = this.ports[kind === 'fastify-sync' || kind === 'fastify-async' ? 'fastify' : kind]
    rmSync(this.#releaseFile, { force: true })
    const before = this.said('blocks').length
    const { answer } = ask(port, `/${kind}/${block}`)
    await eventually('the worker blocks', () => this.said('blocks').length > before)
    return { answer }
  }

  /** Ends the block. */
  release(): void {
    writeFileSync(this.#releaseFile, '')
  }

  /** Whether it serves, so that nothing blocks it. */
  async serves(): Promise<boolean> {
    return (await ask(this.ports.fastify, '/ping').answer).body === 'pong'
  }

  async close(): Promise<void> {
    this.door.close()
    if (this.process.exitCode === null && this.process.signalCode === null) {
      const gone = once(this.process, 'exit')
      this.process.kill('SIGKILL')
      await gone
    }
    rmSync(this.folder, { recursive: true, force: true })
  }
}
