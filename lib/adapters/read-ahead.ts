/** Reads an upload on while its handler does not, so that the end of the connection behind it is seen. */

import type { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'

// TCP tells of the end of a connection after all data that came before it. So all that a client has sent when it leaves must fit.
const perRequestBytes = 8 * 2 ** 20
const perWorkerBytes = 64 * 2 ** 20
// What a chunk costs beside its bytes: a client may send its body in chunks of one byte.
const perChunkBytes = 256

/** The sum of what the uploads of this worker may buffer beyond Node's own limit. */
let reservedBytes = 0
/** Those for which there is no room yet, in the order in which they get it. */
const waiting = new Set<ReadAhead>()

/**
 * Buffers up to 8 MiB of a request body beyond Node's own limit, and 64 MiB in all requests of the worker; beyond
 * that back-pressure works as usual. Ends with the promise. For HTTP/1 only: in HTTP/2 a stream that is held back does not hold
 * back the connection.
 */
export function readAhead(request: IncomingMessage, onOver: (end: () => void) => void): void {
  const { headers, socket } = request
  // A request that is injected for a test has neither socket nor headers.
  if (request.complete || request.httpVersionMajor !== 1 || !(socket instanceof Socket)) return
  const hasBody = headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined
  if (hasBody) onOver(new ReadAhead(request, socket).end)
}

class ReadAhead {
  /** The most that it may need. The chunks of a body with a known length are seldom smaller than 1 KiB. */
  readonly wantedBytes: number
  readonly #socket: Socket
  #reservedBytes = 0
  /** What has been buffered since the buffer was last below Node's limit: an upper bound of what is in it now. */
  #bytes = 0
  #isOver = false

  constructor(request: IncomingMessage, socket: Socket) {
    this.#socket = socket
    const length = Number(request.headers['content-length'] ?? Number.POSITIVE_INFINITY)
    this.wantedBytes = Math.min(length * 1.25, perRequestBytes)
    const { push } = request
    // The parser stops the socket when this returns false.
    request.push = (chunk, encoding) => {
      const isBelowLimit = push.call(request, chunk, encoding)
      if (chunk === null || this.#isOver) return isBelowLimit
      if (!isBelowLimit) return this.#hold(chunk.length)
      this.#giveBack()
      return true
    }
    request.once('close', this.end)
    // The parser has stopped it already.
    if (request.readableLength >= request.readableHighWaterMark) this.#wait()
  }

  readonly end = (): void => {
    this.#isOver = true
    this.#giveBack()
  }

  /** Called when there is room for it. */
  admit(): void {
    this.#reservedBytes = this.wantedBytes
    reservedBytes += this.wantedBytes
    // What Node has paused for the sake of pipelined answers stays so, as when a handler reads.
    if ((this.#socket as { _paused?: boolean })._paused !== true) this.#socket.resume()
  }

  /** Returns whether to read on. */
  #hold(bytes: number): boolean {
    this.#bytes += bytes + perChunkBytes
    if (this.#reservedBytes === 0) this.#wait()
    return this.#bytes < this.#reservedBytes
  }

  #wait(): void {
    waiting.add(this)
    admitWaiting()
  }

  #giveBack(): void {
    waiting.delete(this)
    this.#bytes = 0
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
