/** The socket to the keeper: sends messages in batches, and decodes the answers. */

import type { Socket } from 'node:net'
import { Decoder, encode } from '../wire/framing.js'
import type { KeeperMessage, WorkerMessage } from '../wire/messages.js'

export interface KeeperChannelEvents {
  /** Bytes have arrived. */
  readonly onBytes: () => void
  readonly onMessage: (message: KeeperMessage) => void
  readonly onClose: () => void
  /** A batch is about to be sent: the last chance to add to it. */
  readonly beforeBatch: () => void
}

export class KeeperChannel {
  readonly #socket: Socket | undefined
  readonly #events: KeeperChannelEvents
  /** Whether messages are held back until the end of this turn of the event loop. */
  #isHolding = false
  #references = 0

  constructor(socket: Socket | undefined, events: KeeperChannelEvents) {
    this.#socket = socket
    this.#events = events
    const decoder = new Decoder<KeeperMessage>()
    socket?.on('data', (bytes: Buffer) => {
      events.onBytes()
      for (const message of this.#decode(decoder, bytes)) events.onMessage(message)
    })
    // A keeper that is killed with unread messages resets the connection. 'close' follows.
    socket?.on('error', () => {})
    socket?.once('close', () => events.onClose())
  }

  /** Sends at once: the worker may die, or block its event loop, in its next step. */
  send(message: WorkerMessage): void {
    this.sendInBatch(message)
    this.flush()
  }

  /**
   * Sends at the end of this turn of the event loop, together with all other messages: each write costs a
   * system call and wakes the keeper. For messages that have no effect before the next turn.
   */
  sendInBatch(message: WorkerMessage): void {
    this.write(encode(message))
  }

  /** `sendInBatch` for a message that is encoded already. */
  write(line: string): void {
    if (!this.#socket?.writable) return
    this.hold()
    this.#socket.write(line)
  }

  /** Begins a batch, unless one has begun. It is sent at the end of this turn of the event loop. */
  hold(): void {
    if (this.#isHolding) return
    this.#isHolding = true
    this.#socket?.cork()
    process.nextTick(() => this.sendBatch())
  }

  /** Sends the batch now. */
  sendBatch(): void {
    this.#events.beforeBatch()
    this.flush()
  }

  /** Sends what is written. Unlike `sendBatch`, it adds nothing. */
  flush(): void {
    if (!this.#isHolding) return
    this.#isHolding = false
    this.#socket?.uncork()
  }

  /** Keeps the worker's event loop alive until `unref` has been called as often. */
  ref(): void {
    if (this.#references++ === 0) this.#socket?.ref()
  }

  unref(): void {
    if (--this.#references === 0) this.#socket?.unref()
  }

  /** Until this call the socket keeps the event loop alive even without a reference. */
  unrefIfUnused(): void {
    if (this.#references === 0) this.#socket?.unref()
  }

  #decode(decoder: Decoder<KeeperMessage>, bytes: Buffer): KeeperMessage[] {
    try {
      return decoder.decode(bytes)
    } catch {
      // Invalid JSON does not come from a keeper. It must not crash the server.
      this.#socket?.destroy()
      return []
    }
  }
}
