/** Uploads to `examples/under-pressure.ts` that last until the test ends them, and whether the server sheds load. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { type Answer, type Ask, ask } from './client.js'
import { patienceMs } from './patience.js'

/** A request whose body the test has not ended. The server sorts its lines: "b", what the test writes, and "a". */
export class Upload {
  readonly #sent: ClientRequest
  readonly #response: Promise<IncomingMessage>

  private constructor(port: number) {
    // Node answers "100 Continue" and calls the handler in the same turn, so the command is called for by then.
    const headers = { 'content-type': 'text/plain', expect: '100-continue' }
    this.#sent = request({ port, path: '/sort', method: 'POST', agent: false, headers })
    this.#response = once(this.#sent, 'response').then(([response]) => response)
    // The test handles the rejection where it awaits the response.
    this.#response.catch(() => {})
    this.#sent.on('error', () => {})
    this.#sent.flushHeaders()
  }

  /** Resolves when the command is called for. */
  static async begin(port: number): Promise<Upload> {
    const upload = new Upload(port)
    await once(upload.#sent, 'continue')
    upload.write('b\n')
    return upload
  }

  write(lines: string): void {
    this.#sent.write(lines)
  }

  /** Ends the body, and resolves with the answer. */
  async finish(): Promise<Pick<Answer, 'status' | 'body'>> {
    this.#sent.end('a\n')
    const response = await this.#response
    return { status: response.statusCode ?? 0, body: await text(response) }
  }

  leave(): void {
    this.#sent.destroy()
  }
}

/** Asserts that a request is refused because the server sheds load. */
export async function assertSheds(port: number, path: string, options: Ask = {}): Promise<void> {
  const { status, headers, body } = await ask(port, path, options).answer
  const outcome = [status, headers['retry-after'], JSON.parse(body).code]
  assert.deepEqual(outcome, [503, '5', 'FST_UNDER_PRESSURE'])
}

export function untilItSheds(port: number): Promise<void> {
  return untilAnswered(port, 'the server sheds load', ({ status }) => status === 503)
}

export function untilItServes(port: number): Promise<void> {
  return untilAnswered(port, 'the server serves', ({ status }) => status === 404)
}

/** Polls a path that starts no command. Its answer changes with the next health check. */
async function untilAnswered(port: number, what: string, isSo: (answer: Answer) => boolean): Promise<void> {
  const until = performance.now() + patienceMs
  while (!isSo(await ask(port, '/nothing').answer)) {
    assert.ok(performance.now() < until, `not within ${patienceMs} ms: ${what}`)
    await pause(20)
  }
}
