/** The watch thread: when the main thread is blocked, it tells the keeper where. */

import { connect, type Socket } from 'node:net'
import { parentPort } from 'node:worker_threads'
import { Decoder } from '../wire/framing.js'
import type { StackSampleRequest } from '../wire/stack-sample.js'
import { sampleMainThread } from './sample-main-thread-stack.js'

/** The keeper to connect to. The main thread sends it. */
export interface WatchTarget {
  /** The path of the keeper's socket. */
  readonly path: string
  /** The first bytes of the connection. */
  readonly header: string
}

let connection: Socket | undefined
/** One sample at a time: two would each take the other's pause for that of a debugger. */
let lastAnswer = Promise.resolve()

parentPort?.on('message', ({ path, header }: WatchTarget) => {
  connection?.destroy()
  connection = connectToKeeper(path, header)
})

/**
 * No retry: if the connection fails or ends, the keeper has ended, and the main thread sends the next target.
 */
function connectToKeeper(path: string, header: string): Socket {
  const socket = connect({ path })
  const decoder = new Decoder<StackSampleRequest>()
  socket.write(header)
  socket.on('data', (bytes) => {
    try {
      for (const request of decoder.decode(bytes)) {
        if (request.type === 'sample-stack') lastAnswer = lastAnswer.then(() => answer(socket, request))
      }
    } catch {
      // Invalid JSON does not come from a keeper.
      socket.destroy()
    }
  })
  socket.on('error', () => {})
  return socket
}

async function answer(socket: Socket, { withinMs }: StackSampleRequest): Promise<void> {
  const sample = await sampleMainThread(withinMs)
  if (socket.writable) socket.write(`${JSON.stringify(sample)}\n`)
}
