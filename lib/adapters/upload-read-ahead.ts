/** Buffers an upload that its handler does not read, so that the end of the connection is noticed. */

import type { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'

// TCP reports the end of a connection after all data that came before it. So everything that a client has
// sent when it leaves must fit.
const perRequestBytes = 8 * 2 ** 20
const perWorkerBytes = 64 * 2 ** 20
// The memory that a chunk takes beside its bytes: a client may send its body in chunks of one byte.
const perChunkBytes = 256

/** How much the uploads of this worker may buffer beyond Node's own limit, in total. */
let reservedBytes = 0
/** Uploads for which there is no room yet, in the order in which they get it. */
const waiting = new Set<ReadAhead>()

/**
 * Buffers up to 8 MiB of a request body beyond Node's own limit, and up to 64 MiB for all requests of the
 * worker. Beyond that, back-pressure works as usual. `onEnd` is called with a function that stops it. For
 * HTTP/1 only: in HTTP/2, back-pressure on a stream does not hold back the connection.
 */
export function readAhead(request: IncomingMessage, onEnd: (stop: () => void) => void): void {
  const { headers, socket } = request
  // A request that a test injects has neither socket nor headers.
  if (request.complete || request.httpVersionMajor !== 1 || !(socket instanceof Socket)) return
  const hasBody = headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined
  if (hasBody) onEnd(new ReadAhead(request, socket).stop)
}

class ReadAhead {
  /**
   * The most that this upload can need. A quarter is added for `perChunkBytes`: the chunks of a body with a
   * known length are seldom smaller than 1 KiB.
   */
  readonly wantedBytes: number
  readonly #socket: Socket
  #reservedBytes = 0
  /** An upper bound of the buffered bytes: all that came since the buffer was last below Node's limit. */
  #bufferedBytes = 0
  #isStopped = false

  constructor(request: IncomingMessage, socket: Socket) {
    this.#socket = socket
    const length = Number(request.headers['content-length'] ?? Number.POSITIVE_INFINITY)
    this.wantedBytes = Math.min(length * 1.25, perRequestBytes)
    const { push } = request
    // If this returns false, the parser pauses the socket.
    request.push = (chunk, encoding) => {
      const isBelowLimit = push.call(request, chunk, encoding)
      if (chunk === null || this.#isStopped) return isBelowLimit
      if (!isBelowLimit) return this.#buffer(chunk.length)
      this.#giveBack()
      return true
    }
    request.once('close', this.stop)
    // The parser has paused the socket already.
    if (request.readableLength >= request.readableHighWaterMark) this.#wait()
  }

  readonly stop = (): void => {
    this.#isStopped = true
    this.#giveBack()
  }

  /** Called when there is room for the upload. */
  admit(): void {
    this.#reservedBytes = this.wantedBytes
    reservedBytes += this.wantedBytes
    // Do not resume a socket that Node has paused because of unsent answers to pipelined requests.
    if ((this.#socket as { _paused?: boolean })._paused !== true) this.#socket.resume()
  }

  /** Returns whether to read on. */
  #buffer(bytes: number): boolean {
    this.#bufferedBytes += bytes + perChunkBytes
    if (this.#reservedBytes === 0) this.#wait()
    return this.#bufferedBytes < this.#reservedBytes
  }

  #wait(): void {
    waiting.add(this)
    admitWaiting()
  }

  #giveBack(): void {
    waiting.delete(this)
    this.#bufferedBytes = 0
    if (this.#reservedBytes === 0) return
    reservedBytes -= this.#reservedBytes
    this.#reservedBytes = 0
    admitWaiting()
  }
}

function admitWaiting(): void {
  for (const upload of waiting) {
    if (reservedBytes + upload.wantedBytes > perWorkerBytes) return
    waiting.delete(upload)
    upload.admit()
  }
}
