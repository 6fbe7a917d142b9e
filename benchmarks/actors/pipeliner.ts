/** Sends requests to a server on one connection without a wait for any answer, and checks that all answers come. */

import { connect } from 'node:net'
import { act } from '../harness/actor.js'
import { ensure } from '../harness/benchmark.js'

export interface Pipelined {
  readonly answers: number
}

act({
  /** Resolves when as many answers with that body have come as there were requests. */
  async pipeline(port: number, count: number, body: string): Promise<Pipelined> {
    const socket = connect({ port, host: '127.0.0.1' }).setEncoding('latin1')
    const head = 'GET / HTTP/1.1\r\nhost: test\r\n'
    // The last one closes the connection.
    socket.write(`${`${head}\r\n`.repeat(count - 1)}${head}connection: close\r\n\r\n`)
    let text = ''
    for await (const part of socket) text += part
    const answers = text.split('HTTP/1.1 200 OK\r\n').length - 1
    const bodies = text.split(`\r\n\r\n${body}`).length - 1
    ensure(answers === count && bodies === count, `${answers} answers and ${bodies} bodies, not ${count}`)
    return { answers }
  }
})
