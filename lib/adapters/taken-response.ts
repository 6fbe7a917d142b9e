/** The response of a request that was cut short: the guard answers it, and nobody else. */

import { AsyncLocalStorage } from 'node:async_hooks'
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

// Whatever changes a response or sends it, in HTTP/1 and HTTP/2.
const changing = [
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
const changingFields = ['statusCode', 'statusMessage'] as const

// What an earlier answer has said of its body. An error has another one.
const bodyHeaders = [
  'accept-ranges',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-length',
  'content-location',
  'content-range',
  'content-type',
  'etag',
  'last-modified',
  'trailer',
  'transfer-encoding'
]

type Loose = Record<string, unknown>

/** In whose course a function runs, while an answer is under way. Before Node 24 every promise pays for it. */
const answering = new AsyncLocalStorage<object | undefined>()
let underWay = 0

/**
 * Takes a response away from the handler. From then on, and for good, only what runs in the course of `run` reaches it. What
 * the handler does to it has no effect and throws nothing; `onDropped` is called the first time it tries to answer.
 *
 * A callback that has lost its asynchronous context is taken for the handler's.
 */
export class TakenResponse {
  readonly raw: ServerResponse
  /** Called when the answer is complete, though perhaps not sent. */
  onEnded: () => void = () => {}
  readonly #onDropped: () => void
  /** Names the course of the answer. Timers of the connection keep it, and would keep the response. */
  readonly #course = {}
  #hasDropped = false
  #isUnderWay = true

  constructor(raw: ServerResponse, onDropped: () => void) {
    this.raw = raw
    this.#onDropped = onDropped
    underWay++
    for (const name of changing) this.#guardMethod(name)
    for (const name of changingFields) this.#guardField(name)
  }

  /** Runs a function, the promises and callbacks that follow from it included, as the one who answers. */
  run<Result>(act: () => Result): Result {
    return answering.run(this.#course, act)
  }

  /** The response as one who answers sees it, whatever has become of the asynchronous context. */
  view(): ServerResponse {
    const run = this.run.bind(this)
    return new Proxy(this.raw, {
      get(raw, name) {
        const value = Reflect.get(raw, name, raw)
        if (typeof value !== 'function') return value
        return (...args: unknown[]) => run(() => value.apply(raw, args))
      },
      set: (raw, name, value) => run(() => Reflect.set(raw, name, value, raw))
    })
  }

  /** Removes what was said of the body of an earlier answer, such as its compression. */
  removeBodyHeaders(): void {
    this.run(() => removeBodyHeaders(this.raw))
  }

  /** The answer is sent, or never will be. */
  done(): void {
    if (!this.#isUnderWay) return
    this.#isUnderWay = false
    if (--underWay === 0) answering.disable()
  }

  get #isOurs(): boolean {
    return this.#isUnderWay && answering.getStore() === this.#course
  }

  #drop(): void {
    if (this.#hasDropped) return
    this.#hasDropped = true
    this.#onDropped()
  }

  #guardMethod(name: (typeof changing)[number]): void {
    const raw = this.raw as unknown as Loose
    const method = raw[name]
    if (typeof method !== 'function') return
    raw[name] = (...args: unknown[]): unknown => {
      if (this.#isOurs) {
        const result = method.apply(raw, args)
        // What follows from it is not in the course of the answer.
        if (name === 'end') answering.run(undefined, this.onEnded)
        return result
      }
      if (name === 'write' || name === 'end' || name === 'writeHead') this.#drop()
      // Whoever waits for it goes on.
      const callback = args.findLast((arg) => typeof arg === 'function')
      if (callback !== undefined) process.nextTick(callback as () => void)
      return name === 'write' ? true : raw
    }
  }

  #guardField(name: (typeof changingFields)[number]): void {
    const raw = this.raw as unknown as Loose
    // A field in HTTP/1, an accessor in HTTP/2.
    const inherited = accessorOf(raw, name)
    let value = inherited === undefined ? raw[name] : undefined
    Object.defineProperty(raw, name, {
      configurable: true,
      enumerable: true,
      get: () => (inherited === undefined ? value : inherited.get?.call(raw)),
      set: (given: unknown) => {
        if (!this.#isOurs) return
        if (inherited === undefined) value = given
        else inherited.set?.call(raw, given)
      }
    })
  }
}

function accessorOf(of: object, name: string): PropertyDescriptor | undefined {
  for (let at: object | null = of; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    const found = Object.getOwnPropertyDescriptor(at, name)
    if (found !== undefined) return found.get === undefined ? undefined : found
  }
  return undefined
}

const ending = new Set<string | symbol>(['destroy', 'destroySoon', 'end', 'resetAndDestroy'])

/**
 * A socket as a handler may see it whose request was answered for it: it cannot end it. Express ends the connection of a handler
 * that fails after the headers are sent, and by then the connection may serve another request.
 */
export function withoutEnd(socket: Socket): Socket {
  return new Proxy(socket, {
    get(socket, name, view) {
      if (ending.has(name)) return () => view
      const value = Reflect.get(socket, name, socket)
      return typeof value === 'function' ? value.bind(socket) : value
    },
    set: (socket, name, value) => Reflect.set(socket, name, value, socket)
  })
}

/** Removes what was said of the body of an earlier answer from whatever has `removeHeader`. */
export function removeBodyHeaders(from: { removeHeader(name: string): unknown }): void {
  for (const name of bodyHeaders) from.removeHeader(name)
}
