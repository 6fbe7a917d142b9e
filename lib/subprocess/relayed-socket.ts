/** A socket that takes over the connection of another one, which a server has accepted. */

import { Socket } from 'node:net'
import { headerBytes } from '../wire/connection-header.js'

type Callback = (error?: Error | null) => void

/**
 * Until `relay` is called, it is a socket of its own. Node has no way to give an existing socket another
 * connection, so this one passes on what the other one reads and writes.
 */
export class RelayedSocket extends Socket {
  #peer: Socket | undefined
  #isReferenced = true

  /** Uses the connection of `peer` from now on. It is read only if `isRead`. */
  relay(peer: Socket, isRead: boolean): void {
    this.#peer = peer
    if (!this.#isReferenced) peer.unref()
    peer.on('error', (error) => this.destroy(error))
    if (!isRead) return
    peer.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) peer.pause()
    })
    peer.once('end', () => this.push(null))
    Object.defineProperty(this, 'bytesRead', { get: () => peer.bytesRead - headerBytes })
    peer.resume()
  }

  override ref(): this {
    this.#isReferenced = true
    this.#peer?.ref()
    return super.ref()
  }

  override unref(): this {
    this.#isReferenced = false
    this.#peer?.unref()
    return super.unref()
  }

  override _read(size: number): void {
    if (this.#peer === undefined) super._read(size)
    else this.#peer.resume()
  }

  override _write(chunk: Buffer | string, encoding: BufferEncoding, callback: Callback): void {
    if (this.#peer === undefined) super._write(chunk, encoding, callback)
    else this.#peer.write(chunk, encoding, callback)
  }

  override _writev(chunks: Array<{ chunk: Buffer; encoding: BufferEncoding }>, callback: Callback): void {
    if (this.#peer === undefined) super._writev?.(chunks, callback)
    else
      this.#peer.write(
        Buffer.concat(chunks.map(({ chunk, encoding }) => Buffer.from(chunk as never, encoding))),
        callback
      )
  }

  override _final(callback: Callback): void {
    if (this.#peer === undefined) super._final(callback)
    // A reader that is gone has nothing to lose.
    else this.#peer.end(() => callback())
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#peer?.destroy()
    super._destroy(error, callback)
  }
}
