/** The client of a generated HTTP/1 connection: writes bytes, and leaves as planned. */

import { EventEmitter, once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { Answers } from './answers.js'
import type { Moment } from './endings.js'
import type { HandlerProgress } from './handler-progress.js'
import { type Plan, willBegin } from './plan.js'
import { blocksOthers, pathOf, type Received, type Sent } from './requests.js'

// How long a client that waits for bytes stays after all that can begin has begun, in ms.
const staysMs = 50
const upload = Buffer.alloc(2 * 1024 * 1024, 'x')

/**
 * Carries out the plan. Resolves with the responses when the connection is
 * closed; rejects if the signal is aborted.
 */
export async function runHttp1(
  port: number,
  plan: Plan,
  name: string,
  progress: HandlerProgress,
  signal: AbortSignal
): Promise<Received[]> {
  const client = new Http1Client(
    connect({ port, host: '127.0.0.1', allowHalfOpen: true }),
    plan,
    name,
    progress,
    signal
  )
  try {
    await client.run()
    return client.answers.all
  } finally {
    client.socket.destroy()
  }
}

class Http1Client {
  readonly socket: Socket
  readonly answers = new Answers()
  readonly #plan: Plan
  readonly #name: string
  readonly #progress: HandlerProgress
  readonly #signal: AbortSignal
  /** Emits `'progress'` whenever something arrives. */
  readonly #events = new EventEmitter()
  readonly #closed: Promise<void>
  #isClosed = false
  #error: Error | undefined

  constructor(socket: Socket, plan: Plan, name: string, progress: HandlerProgress, signal: AbortSignal) {
    this.socket = socket
    this.#plan = plan
    this.#name = name
    this.#progress = progress
    this.#signal = signal
    let isCleanEnd = false
    socket.setEncoding('latin1').on('data', (text: string) => {
      // After an upgrade, WebSocket frames follow.
      if (this.answers.all[0]?.status === 101) return
      this.#feed(text)
      this.#events.emit('progress')
    })
    socket.once('end', () => {
      // If a reset arrives together with the last bytes, libuv reports an end. But a
      // socket that was reset cannot be written to.
      if (!socket.writable) return
      socket.write('\r\n', (error) => {
        isCleanEnd = !error
        socket.end()
      })
    })
    // The end is not clean then.
    socket.on('error', () => {})
    this.#closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#isClosed = true
        this.answers.end(isCleanEnd && plan.ending.how === 'reads')
        this.#events.emit('progress')
        resolve()
      })
    })
  }

  async run(): Promise<void> {
    const { ending, requests } = this.#plan
    await once(this.socket, 'connect', { signal: this.#signal })
    if (ending.how === 'reads') {
      await this.#send()
      await this.#until(() => this.answers.all.length >= requests.length)
      this.socket.end()
    } else if ('when' in ending) {
      await this.#reach(ending.when)
      // If the other half has ended, resetAndDestroy() would wait for the end of this half first.
      if (ending.how === 'resets' && this.socket.writable) this.socket.resetAndDestroy()
      else if (ending.how === 'half-closes' && !requests.some(blocksOthers)) this.socket.end()
      else this.socket.destroy()
    }
    await this.#until(() => false)
    await this.#closed
    if (this.#error !== undefined) throw this.#error
  }

  async #reach(when: Moment): Promise<void> {
    if (when.at === 'sent') {
      await this.#sendShare(when.percent)
      return
    }
    // This may wait for responses that do not come.
    this.#send().catch(() => {})
    const enough = when.at === 'received' ? when.bytes : Number.POSITIVE_INFINITY
    const over = this.#until(() => this.answers.bytes >= enough)
    await Promise.race([over, this.#allBegun(when)])
  }

  async #allBegun(when: Moment): Promise<void> {
    await this.#progress.untilBegun(this.#name, willBegin(this.#plan), this.#signal)
    if (when.at === 'later') await pause(when.ms)
    if (when.at === 'received') await pause(staysMs)
  }

  async #send(): Promise<void> {
    const parts = this.#parts()
    for (const [index, part] of parts.entries()) {
      for (const bytes of part) this.socket.write(bytes)
      if (!this.#plan.isPipelined) await this.#until(() => this.answers.all.length > index)
    }
  }

  async #sendShare(percent: number): Promise<void> {
    const bytes = Buffer.concat(this.#parts().flat())
    const share = bytes.subarray(0, Math.ceil((bytes.length * percent) / 100))
    await new Promise<void>((resolve) => {
      this.socket.write(share, () => resolve())
      // If the window is full, the write never completes.
      if (share.length > 100_000) setTimeout(resolve, staysMs)
    })
  }

  #parts(): Buffer[][] {
    const { requests, protocol } = this.#plan
    return requests.map((sent, index) => {
      const isLast = protocol === 'HTTP/1.1 close' && index === requests.length - 1
      return bytesOf(sent, `${this.#name}.${index}`, protocol.slice(0, 8), isLast)
    })
  }

  /** Resolves when the condition holds or the connection is closed. */
  async #until(isSo: () => boolean): Promise<void> {
    while (!this.#isClosed && this.#error === undefined && !isSo())
      await once(this.#events, 'progress', { signal: this.#signal })
  }

  #feed(text: string): void {
    try {
      this.answers.feed(text)
    } catch (error) {
      this.#error = error as Error
    }
  }
}

/** The head and the body, or half of the body. */
function bytesOf(sent: Sent, name: string, protocol: string, isLast: boolean): Buffer[] {
  const method = sent.upload > 0 ? 'POST' : 'GET'
  const head = [`${method} ${pathOf(sent, name)} ${protocol}`, 'host: test']
  if (isLast) head.push('connection: close')
  if (sent.kind === 'socket') {
    head.push('connection: upgrade', 'upgrade: websocket', 'sec-websocket-version: 13')
    head.push(`sec-websocket-key: ${Buffer.alloc(16).toString('base64')}`)
  }
  const bytes = Buffer.from(`${head.join('\r\n')}\r\n`)
  if (sent.upload === 0) return [Buffer.concat([bytes, Buffer.from('\r\n')])]
  const fields = `content-type: application/octet-stream\r\ncontent-length: ${sent.upload}\r\n\r\n`
  const body = upload.subarray(0, sent.isHalf ? sent.upload / 2 : sent.upload)
  return [Buffer.concat([bytes, Buffer.from(fields)]), body]
}
