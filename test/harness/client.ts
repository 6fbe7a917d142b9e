/** An HTTP client that keeps nothing open, and that can go away at a moment of the test's choice. */

import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http'

export interface Answer {
  readonly status: number
  readonly body: string
  readonly headers: IncomingMessage['headers']
  /** Whether the connection was cut before the end of the answer. */
  readonly isCut: boolean
}

export interface Asked {
  /** Resolves with the answer; rejects when there was none. */
  readonly answer: Promise<Answer>
  /** Resolves when the head of the answer has come. */
  readonly head: Promise<IncomingMessage>
  /** Resolves when something of its body has come, or had come before. */
  readonly begun: Promise<void>
  /** Closes the connection. */
  leave(): void
}

export interface Ask {
  method?: string
  json?: unknown
  /** A body that is no JSON; its type is among the headers. */
  body?: string | Buffer
  headers?: OutgoingHttpHeaders
  /** How the body becomes text; 'latin1' keeps every byte. Default 'utf8'. */
  encoding?: BufferEncoding
}

/** Sends a request on a connection of its own. */
export function ask(
  port: number,
  path: string,
  { method, json, body: given, headers, encoding = 'utf8' }: Ask = {}
): Asked {
  const body = json === undefined ? given : JSON.stringify(json)
  const sent = httpRequest({
    port,
    path,
    agent: false,
    method: method ?? (body === undefined ? 'GET' : 'POST'),
    headers: { ...(json === undefined ? {} : { 'content-type': 'application/json' }), ...headers }
  })
  const head = new Promise<IncomingMessage>((resolve, reject) => {
    sent.once('response', resolve)
    sent.once('error', reject)
  })
  let begin = (): void => {}
  const begun = new Promise<void>((resolve) => {
    begin = resolve
  })
  const answer = head.then(
    (response) =>
      new Promise<Answer>((resolve) => {
        let text = ''
        response.setEncoding(encoding).on('data', (part: string) => {
          text += part
          begin()
        })
        // Told by 'close', where it shows as not complete.
        response.on('error', () => {})
        response.once('close', () => {
          const { statusCode, headers, complete } = response
          resolve({ status: statusCode ?? 0, body: text, headers, isCut: !complete })
        })
      })
  )
  // A test that makes the client leave does not ask for the answer.
  head.catch(() => {})
  answer.catch(() => {})
  sent.end(body)
  return { answer, head, begun, leave: () => sent.destroy() }
}
