/** The keeper's line to the thread of its worker that can tell where the main thread hangs. */

import type { Socket } from 'node:net'
import { Decoder } from '../wire/framing.js'
import type { StackSample, StackSampleRequest } from '../wire/stack-sample.js'

export class StackSampler {
  #socket: Socket | undefined
  /** Those who have asked, in order: so come the answers. */
  #asking: ((where: StackSample) => void)[] = []

  /** The thread has connected. */
  attach(socket: Socket): void {
    this.#socket?.destroy()
    this.#socket = socket
    const decoder = new Decoder<StackSample>()
    socket.on('data', (bytes: Buffer) => {
      for (const where of decoder.decode(bytes)) this.#asking.shift()?.(where)
    })
    socket.once('close', () => {
      if (this.#socket === socket) this.#socket = undefined
      for (const answer of this.#asking.splice(0)) answer(unknown('its thread that watches has ended'))
    })
    socket.resume()
  }

  /** Where the main thread is. */
  ask(withinMs: number): Promise<StackSample> {
    const socket = this.#socket
    if (socket === undefined) return Promise.resolve(unknown('no thread of it watches'))
    return new Promise((resolve) => {
      this.#asking.push(resolve)
      socket.write(`${JSON.stringify({ type: 'sample-stack', withinMs } satisfies StackSampleRequest)}\n`)
    })
  }

  close(): void {
    this.#socket?.destroy()
  }
}

function unknown(why: string): StackSample {
  return { type: 'unknown', why }
}
