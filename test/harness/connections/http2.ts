/** The client of a generated HTTP/2 connection: cancels streams, or ends the session or its socket. */

import { EventEmitter, once } from 'node:events'
import http2, { type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2'
import { connect, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import type { Moment } from './endings.js'
import type { HandlerProgress } from './handler-progress.js'
import { type Plan, willBegin } from './plan.js'
import { pathOf, type Received, type Sent, settles } from './requests.js'

// How long a client that waits for bytes stays after all handlers have begun, in ms.
const staysMs = 50
const upload = Buffer.alloc(2 * 1024 * 1024, 'x')
const { NGHTTP2_CANCEL, NGHTTP2_NO_ERROR } = http2.constants

/**
 * Carries out the plan. Resolves when the connection is closed with the responses,
 * undefined for those that have not begun.
 */
export async function runHttp2(
  port: number,
  plan: Plan,
  name: string,
  progress: HandlerProgress,
  signal: AbortSignal
): Promise<(Received | undefined)[]> {
  const socket = connect({ port, host: '127.0.0.1' })
  const session = http2.connect(`http://127.0.0.1:${port}`, { createConnection: () => socket })
  // The streams show what happens to it.
  session.on('error', () => {})
  const client = new Http2Client(session, socket, plan, name, progress, signal)
  try {
    await client.run()
    return client.streams.map(({ received }) => received)
  } finally {
    session.destroy()
    socket.destroy()
  }
}

class Http2Client {
  readonly streams: Stream[] = []
  readonly #session: ClientHttp2Session
  readonly #socket: Socket
  readonly #plan: Plan
  readonly #name: string
  readonly #progress: HandlerProgress
  readonly #signal: AbortSignal
  /** Emits `'progress'` whenever something arrives. */
  readonly #events = new EventEmitter().setMaxListeners(0)
  #bytes = 0

  constructor(
    session: ClientHttp2Session,
    socket: Socket,
    plan: Plan,
    name: string,
    progress: HandlerProgress,
    signal: AbortSignal
  ) {
    this.#session = session
    this.#socket = socket
    this.#plan = plan
    this.#name = name
    this.#progress = progress
    this.#signal = signal
    session.once('close', () => this.#events.emit('progress'))
  }

  async run(): Promise<void> {
    const { ending, requests } = this.#plan
    await once(this.#session, 'connect', { signal: this.#signal })
    const when = 'when' in ending ? ending.when : undefined
    const share = when?.at === 'sent' ? Math.ceil((requests.length * when.percent) / 100) : requests.length
    for (const [index, sent] of requests.slice(0, share).entries()) this.#send(sent, index)
    if (when !== undefined) await this.#reach(when)
    switch (ending.how) {
      case 'cancels':
        await this.#cancel(ending.which)
        break
      case 'destroys':
        this.#session.destroy()
        break
      case 'leaves':
        this.#socket.destroy()
        break
      case 'resets':
        this.#socket.resetAndDestroy()
        break
      default:
        if (ending.how === 'says goodbye') this.#session.close()
        await this.#ended(this.streams)
    }
    this.#session.close()
    await this.#until(() => this.#session.destroyed)
  }

  async #reach(when: Moment): Promise<void> {
    if (when.at === 'sent') return
    const enough = when.at === 'received' ? when.bytes : Number.POSITIVE_INFINITY
    const over = this.#until(() => this.#bytes >= enough || this.#session.destroyed)
    await Promise.race([over, this.#allBegun(when)])
  }

  async #allBegun(when: Moment): Promise<void> {
    await this.#progress.untilBegun(this.#name, willBegin(this.#plan), this.#signal)
    if (when.at === 'later') await pause(when.ms)
    if (when.at === 'received') await pause(staysMs)
  }

  /** Cancels streams. Their scopes must close while the session lives. */
  async #cancel(which: 'all' | 'even'): Promise<void> {
    const isKept = ({ sent }: Stream, index: number): boolean =>
      which === 'even' && index % 2 === 1 && settles(sent)
    for (const [index, stream] of this.streams.entries())
      if (!isKept(stream, index)) stream.cancel(NGHTTP2_CANCEL)
    await this.#ended(this.streams)
    await this.#progress.allClosed(this.#name, this.#signal)
  }

  #send(sent: Sent, index: number): void {
    const fields = { ':path': pathOf(sent, `${this.#name}.${index}`) }
    const stream =
      sent.upload === 0
        ? this.#session.request(fields)
        : this.#session.request({
            ...fields,
            ':method': 'POST',
            'content-type': 'application/octet-stream',
            'content-length': sent.upload
          })
    const body = upload.subarray(0, sent.isHalf ? sent.upload / 2 : sent.upload)
    if (sent.isHalf) stream.write(body)
    else if (sent.upload > 0) stream.end(body)
    const progress = (bytes: number): void => {
      this.#bytes += bytes
      this.#events.emit('progress')
    }
    this.streams.push(new Stream(sent, stream, progress))
  }

  #ended(streams: readonly Stream[]): Promise<void> {
    return this.#until(() => streams.every(({ isClosed }) => isClosed))
  }

  async #until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await once(this.#events, 'progress', { signal: this.#signal })
  }
}

class Stream {
  readonly sent: Sent
  /** Undefined until its head has arrived. */
  received: Received | undefined
  isClosed = false
  readonly #stream: ClientHttp2Stream

  constructor(sent: Sent, stream: ClientHttp2Stream, progress: (bytes: number) => void) {
    this.sent = sent
    this.#stream = stream
    let [status, body, isEnded] = [0, '', false]
    stream.setEncoding('latin1')
    stream.once('response', (headers) => {
      status = Number(headers[':status'])
    })
    stream.on('data', (text: string) => {
      body += text
      progress(text.length)
    })
    stream.once('end', () => {
      isEnded = true
      // The second half of a body is never sent. Not `close()`: if the server resets the stream at the same
      // moment, Node's client waits forever for what it has not sent.
      if (sent.isHalf) stream.destroy()
    })
    // The code of the reset shows it.
    stream.on('error', () => {})
    stream.once('close', () => {
      this.isClosed = true
      const isWhole = isEnded && stream.rstCode === NGHTTP2_NO_ERROR
      if (status !== 0) this.received = { status, body, isWhole, isLast: false }
      progress(0)
    })
  }

  cancel(code: number): void {
    this.#stream.close(code)
  }
}
