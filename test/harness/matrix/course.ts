/** What a handler of the matrix works with, in any framework: its commands, its answer, and what else it waits for. */

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { fileURLToPath } from 'node:url'
import type { CommandStream, Scope } from 'fastify-subprocess-guard'
import type { GuardedRequest } from '../served.js'
import type { Program } from './handlers.js'

const programs = new URL('../../../../test/programs/', import.meta.url)

/** The answer of a framework: what a handler sends, and Node's own response. */
export interface Reply {
  readonly raw: ServerResponse
  send(text: string): void
  /** Tells the framework that the handler writes to Node's response. */
  hijack(): void
  log(message: string): void
}

/** What a handler returns that has answered by itself. */
export const answered = Symbol('answered')

/** Which command a handler runs. */
export interface Told {
  readonly program: Program
  /** How it calls itself, to the witness. */
  readonly name: string
  /** What it writes before it waits. */
  readonly first: string
  readonly env: NodeJS.ProcessEnv
}

/** A promise that somebody else settles. Nobody has to listen to it. */
export class Settled {
  readonly #promise: Promise<void>
  resolve!: () => void
  reject!: (error: Error) => void

  constructor() {
    this.#promise = new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
    this.#promise.catch(() => {})
  }

  /** A promise of the caller's own. */
  wait(): Promise<void> {
    return this.#promise.then()
  }
}

/** One request, from its handler's view. */
export class Course {
  readonly told: Told
  readonly #request: GuardedRequest
  readonly #reply: Reply
  readonly #other: Settled
  readonly #note: (error: unknown) => void

  /** `note` is told of what a listener has thrown. */
  constructor(
    told: Told,
    request: GuardedRequest,
    reply: Reply,
    other: Settled,
    note: (error: unknown) => void
  ) {
    this.told = told
    this.#request = request
    this.#reply = reply
    this.#other = other
    this.#note = note
  }

  get raw(): ServerResponse {
    return this.#reply.raw
  }

  get scope(): Scope {
    return this.#request.subprocesses
  }

  spawn(): ChildProcess & { stdout: NonNullable<ChildProcess['stdout']> } {
    const { file, args, options } = this.command
    return this.scope.spawn(file, args, { ...options, stdio: ['ignore', 'pipe', 'ignore'] }) as never
  }

  execFile(): Promise<{ stdout: string }> {
    const { file, args, options } = this.command
    return this.scope.execFile(file, args, options)
  }

  stream(): CommandStream {
    const { file, args, options } = this.command
    return this.scope.stream(file, args, options)
  }

  /** Something else than a command, such as a database. */
  other(): Promise<void> {
    return this.#other.wait()
  }

  on(emitter: NodeJS.EventEmitter, event: string, listener: (...args: never[]) => void): void {
    emitter.on(event, this.noting(listener) as () => void)
  }

  /** The same function, whose error is known to be this handler's. */
  noting<Args extends never[]>(act: (...args: Args) => void): (...args: Args) => void {
    return (...args) => {
      try {
        act(...args)
      } catch (error) {
        this.#note(error)
        throw error
      }
    }
  }

  send(text: string): void {
    this.#reply.send(text)
  }

  hijack(): void {
    this.#reply.hijack()
  }

  /** Waits for the end of an answer that somebody else gives. */
  async answers(): Promise<typeof answered> {
    if (!this.raw.closed) await once(this.raw, 'close')
    return answered
  }

  /** Tells of an error in the name of the request. */
  log(message: string): void {
    this.#reply.log(message)
  }

  get command() {
    const { program, name, first, env } = this.told
    const path = program === 'leaves a writer' ? 'leaves-a-writer.sh' : 'ends-as-told.sh'
    const args = program === 'leaves a writer' ? [name] : [program, name, first]
    return { file: 'sh', args: [fileURLToPath(new URL(path, programs)), ...args], options: { env } }
  }
}
