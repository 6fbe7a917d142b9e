/** A request to the deployment examples that stays in flight until the test sends the rest of its body. */

import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'
import { ask } from './client.js'
import { eventually } from './expectations.js'
import type { Family } from './family.js'

export class Conversion {
  readonly #sent
  readonly #response: Promise<IncomingMessage>

  private constructor(port: number) {
    this.#sent = request({ port, path: '/convert', method: 'POST', agent: false })
    this.#response = once(this.#sent, 'response').then(([response]) => response)
    // The test handles the rejection where it awaits the response.
    this.#response.catch(() => {})
    this.#sent.on('error', () => {})
    this.#sent.write('first, ')
  }

  /** Resolves when the command runs. */
  static async start(port: number, family: Family): Promise<Conversion> {
    const conversion = new Conversion(port)
    await eventually('the command runs', () => family.living('gzip -c').length > 0)
    return conversion
  }

  /**
   * Sends the rest. Resolves with the status and the converted body; rejects if the response is incomplete.
   */
  async finish(): Promise<[status: number | undefined, text: string]> {
    this.#sent.end('last')
    const response = await this.#response
    const body = await buffer(response)
    return [response.statusCode, response.statusCode === 200 ? gunzipSync(body).toString() : String(body)]
  }
}

/** Resolves when the port refuses connections. */
export async function refused(port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, '127.0.0.1')
    try {
      await once(socket, 'connect')
    } catch {
      return
    } finally {
      socket.destroy()
    }
    await pause(20)
  }
}

// If a connection comes after the death of a worker but before the primary notices it, node:cluster passes it
// to the dead worker and never answers or closes it. So requests need a timeout, as every health check has.
const healthWithinMs = 2_000

/** The pid that a serving worker reports; undefined if none answers in time. */
async function workerAt(port: number): Promise<number | undefined> {
  const { answer, leave } = ask(port, '/health')
  const patience = setTimeout(leave, healthWithinMs)
  try {
    const { status, body } = await answer
    return status === 200 ? JSON.parse(body).worker : undefined
  } catch {
    return undefined
  } finally {
    clearTimeout(patience)
  }
}

/** Resolves with the pid of a serving worker that is not in the list. */
export async function otherWorkerAt(port: number, those: readonly number[] = []): Promise<number> {
  for (;;) {
    const worker = await workerAt(port)
    if (worker !== undefined && !those.includes(worker)) return worker
    await pause(20)
  }
}
