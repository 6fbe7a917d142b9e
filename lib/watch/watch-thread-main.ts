/** The thread that watches: answers the keeper where the main thread is, when that cannot answer itself. */

import { connect, type Socket } from 'node:net'
import { parentPort } from 'node:worker_threads'
import { Decoder } from '../wire/framing.js'
import type { StackSampleRequest } from '../wire/stack-sample.js'
import { whereIsMainThread } from './main-thread-stack.js'

/** Whom to answer from now on: sent by the main thread. */
export interface Attention {
  /** Of the keeper's socket. */
  readonly path: string
  /** The first bytes of the connection. */
  readonly header: string
}

let connection: Socket | undefined
/** Two at once would take each other's stop for a debugger's. */
let lastAnswer = Promise.resolve()

parentPort?.on('message', ({ path, header }: Attention) => {
  connection?.destroy()
  connection = attend(path, header)
})

/** A connection that fails or ends is the end of its keeper: the main thread names the next one. */
function attend(path: string, header: string): Socket {
  const socket = connect({ path })
  const decoder = new Decoder<StackSampleRequest>()
  socket.write(header)
  socket.on('data', (bytes) => {
    try {
      for (const request of decoder.decode(bytes)) {
        if (request.type === 'sample-stack') lastAnswer = lastAnswer.then(() => answer(socket, request))
      }
    } catch {
      // What is no message comes from no keeper.
      socket.destroy()
    }
  })
  socket.on('error', () => {})
  return socket
}

async function answer(socket: Socket, { withinMs }: StackSampleRequest): Promise<void> {
  const where = await whereIsMainThread(withinMs)
  if (socket.writable) socket.write(`${JSON.stringify(where)}\n`)
}
