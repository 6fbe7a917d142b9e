/** Asks the worker's watch thread for a stack sample: where the main thread is when it hangs. */

import type { Socket } from 'node:net'
import { Decoder } from '../wire/framing.js'
import type { StackSample, StackSampleRequest } from '../wire/stack-sample.js'

export class StackSampleClient {
  #socket: Socket | undefined
  /** The pending requests. They are answered in order. */
  #pending: ((sample: StackSample) => void)[] = []

  /** The watch thread has connected. */
  attach(socket: Socket): void {
    this.#socket?.destroy()
    this.#socket = socket
    const decoder = new Decoder<StackSample>()
    socket.on('data', (bytes: Buffer) => {
      for (const sample of decoder.decode(bytes)) this.#pending.shift()?.(sample)
    })
    socket.once('close', () => {
      if (this.#socket === socket) this.#socket = undefined
      for (const resolve of this.#pending.splice(0))
        resolve(unknown('the watch thread of the worker has ended'))
    })
    socket.resume()
  }

  /** Requests a sample. `withinMs` is how long the main thread may take to show that it runs JavaScript. */
  sample(withinMs: number): Promise<StackSample> {
    const socket = this.#socket
    if (socket === undefined) return Promise.resolve(unknown('the worker has no watch thread'))
    return new Promise((resolve) => {
      this.#pending.push(resolve)
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
