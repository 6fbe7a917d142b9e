/** Locks a response: only the guard can answer it then, and what the handler does to it has no effect. */

import { AsyncLocalStorage } from 'node:async_hooks'
import type { ServerResponse } from 'node:http'
import { removeBodyHeaders } from './body-headers.js'

// The methods that change or send a response, in HTTP/1 and HTTP/2.
const mutatingMethods = [
  'addTrailers',
  'appendHeader',
  'createPushResponse',
  'destroy',
  'end',
  'flushHeaders',
  'removeHeader',
  'setHeader',
  'setHeaders',
  'setTrailer',
  'write',
  'writeContinue',
  'writeEarlyHints',
  'writeHead',
  'writeInformation',
  'writeProcessing'
] as const
const writableFields = ['statusCode', 'statusMessage'] as const

type Properties = Record<string, unknown>

/**
 * The lock that the running code holds. Disabled while no locked response is being answered: before Node 24,
 * an enabled AsyncLocalStorage slows down every promise.
 */
const heldLock = new AsyncLocalStorage<object | undefined>()
let unsealedLocks = 0

/**
 * A lock on a response, for good. Code that runs in `run()` can change and send the response. What other
 * code, such as the handler, does to it has no effect and throws nothing; `onDropped` is called the first
 * time that it tries to answer.
 *
 * A callback that has lost its async context does not hold the lock, even if it was created in `run()`.
 */
export class ResponseLock {
  readonly response: ServerResponse
  /** Called when the answer is complete, though possibly not sent yet. */
  onEnd: () => void = () => {}
  readonly #onDropped: () => void
  /** Identifies the lock. Not `this`: timers of the connection retain it, and would retain the response. */
  readonly #token = {}
  #hasDropped = false
  #isSealed = false

  constructor(response: ServerResponse, onDropped: () => void) {
    this.response = response
    this.#onDropped = onDropped
    unsealedLocks++
    for (const name of mutatingMethods) this.#guardMethod(name)
    for (const name of writableFields) this.#guardField(name)
  }

  /** Runs a function, with the promises and callbacks that it creates, as a holder of the lock. */
  run<Result>(task: () => Result): Result {
    return heldLock.run(this.#token, task)
  }

  /** A view of the response through which any code holds the lock, whatever its async context. */
  unlockedView(): ServerResponse {
    const run = this.run.bind(this)
    return new Proxy(this.response, {
      get(response, name) {
        const value = Reflect.get(response, name, response)
        if (typeof value !== 'function') return value
        return (...args: unknown[]) => run(() => value.apply(response, args))
      },
      set: (response, name, value) => run(() => Reflect.set(response, name, value, response))
    })
  }

  /** Removes the headers that describe the body of the handler's answer. */
  removeBodyHeaders(): void {
    this.run(() => removeBodyHeaders(this.response))
  }

  /** Takes the lock from every holder: the answer is sent, or never will be. */
  seal(): void {
    if (this.#isSealed) return
    this.#isSealed = true
    if (--unsealedLocks === 0) heldLock.disable()
  }

  get #isHeld(): boolean {
    return !this.#isSealed && heldLock.getStore() === this.#token
  }

  #drop(): void {
    if (this.#hasDropped) return
    this.#hasDropped = true
    this.#onDropped()
  }

  #guardMethod(name: (typeof mutatingMethods)[number]): void {
    const response = this.response as unknown as Properties
    const method = response[name]
    if (typeof method !== 'function') return
    response[name] = (...args: unknown[]): unknown => {
      if (this.#isHeld) {
        const result = method.apply(response, args)
        // The listener runs without the lock.
        if (name === 'end') heldLock.run(undefined, this.onEnd)
        return result
      }
      if (name === 'write' || name === 'end' || name === 'writeHead') this.#drop()
      // Call the callback anyway, so that its caller continues.
      const callback = args.findLast((arg) => typeof arg === 'function')
      if (callback !== undefined) process.nextTick(callback as () => void)
      return name === 'write' ? true : response
    }
  }

  #guardField(name: (typeof writableFields)[number]): void {
    const response = this.response as unknown as Properties
    // A plain property in HTTP/1, an inherited accessor in HTTP/2.
    const inherited = accessorOf(response, name)
    let value = inherited === undefined ? response[name] : undefined
    Object.defineProperty(response, name, {
      configurable: true,
      enumerable: true,
      get: () => (inherited === undefined ? value : inherited.get?.call(response)),
      set: (given: unknown) => {
        if (!this.#isHeld) return
        if (inherited === undefined) value = given
        else inherited.set?.call(response, given)
      }
    })
  }
}

function accessorOf(object: object, name: string): PropertyDescriptor | undefined {
  for (let at: object | null = object; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    const found = Object.getOwnPropertyDescriptor(at, name)
    if (found !== undefined) return found.get === undefined ? undefined : found
  }
  return undefined
}
