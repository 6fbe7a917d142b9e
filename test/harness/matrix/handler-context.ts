/**
 * What a handler of the matrix uses in any framework: its commands, its response, and what else it awaits.
 */

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { fileURLToPath } from 'node:url'
import type { CommandStream, Scope } from 'fastify-subprocess-guard'
import type { GuardedRequest } from '../served.js'
import type { Program } from './handlers.js'

const programs = new URL('../../../../test/programs/', import.meta.url)

/** The reply of a framework: what a handler sends, and Node's own response. */
export interface Reply {
  readonly raw: ServerResponse
  send(text: string): void
  /** Tells the framework that the handler writes to Node's response. */
  hijack(): void
  log(message: string): void
}

/** Returned by a handler that has answered by itself. */
export const answered = Symbol('answered')

/** The command that a handler runs. */
export interface CommandSpec {
  readonly program: Program
  /** The name by which it announces itself to the witness. */
  readonly name: string
  /** What it writes before it waits. */
  readonly first: string
  readonly env: NodeJS.ProcessEnv
}

/** A promise that other code settles. It may stay unhandled. */
export class Deferred {
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

  /** Returns a new promise for each caller. */
  wait(): Promise<void> {
    return this.#promise.then()
  }
}

/** One request from the view of its handler. */
export class HandlerContext {
  readonly spec: CommandSpec
  readonly #request: GuardedRequest
  readonly #reply: Reply
  readonly #externalWork: Deferred
  readonly #onThrown: (error: unknown) => void

  /** `onThrown` is called with an error that a listener has thrown. */
  constructor(
    spec: CommandSpec,
    request: GuardedRequest,
    reply: Reply,
    externalWork: Deferred,
    onThrown: (error: unknown) => void
  ) {
    this.spec = spec
    this.#request = request
    this.#reply = reply
    this.#externalWork = externalWork
    this.#onThrown = onThrown
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

  /** Something other than a command, such as a database. */
  externalWork(): Promise<void> {
    return this.#externalWork.wait()
  }

  on(emitter: NodeJS.EventEmitter, event: string, listener: (...args: never[]) => void): void {
    emitter.on(event, this.trackErrors(listener) as () => void)
  }

  /** Wraps a function, so that its errors are known as this handler's. */
  trackErrors<Args extends never[]>(act: (...args: Args) => void): (...args: Args) => void {
    return (...args) => {
      try {
        act(...args)
      } catch (error) {
        this.#onThrown(error)
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

  /** Waits until the response has closed. */
  async untilResponded(): Promise<typeof answered> {
    if (!this.raw.closed) await once(this.raw, 'close')
    return answered
  }

  /** Logs an error with the request's logger. */
  log(message: string): void {
    this.#reply.log(message)
  }

  get command() {
    const { program, name, first, env } = this.spec
    const path = program === 'leaves a writer' ? 'leaves-a-writer.sh' : 'ends-as-told.sh'
    const args = program === 'leaves a writer' ? [name] : [program, name, first]
    return { file: 'sh', args: [fileURLToPath(new URL(path, programs)), ...args], options: { env } }
  }
}
