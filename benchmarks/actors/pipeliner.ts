/** Sends requests on one connection without waiting for responses, and checks that all responses arrive. */

import { connect } from 'node:net'
import { act } from '../harness/actor.js'
import { ensure } from '../harness/benchmark.js'

export interface Pipelined {
  readonly answers: number
}

act({
  /** Resolves when each request has got a response with this body. */
  async pipeline(port: number, count: number, body: string): Promise<Pipelined> {
    const socket = connect({ port, host: '127.0.0.1' }).setEncoding('latin1')
    const head = 'GET / HTTP/1.1\r\nhost: test\r\n'
    // The last request closes the connection.
    socket.write(`${`${head}\r\n`.repeat(count - 1)}${head}connection: close\r\n\r\n`)
    let text = ''
    for await (const part of socket) text += part
    const answers = text.split('HTTP/1.1 200 OK\r\n').length - 1
    const bodies = text.split(`\r\n\r\n${body}`).length - 1
    ensure(answers === count && bodies === count, `${answers} answers and ${bodies} bodies, not ${count}`)
    return { answers }
  }
})
