/** An HTTP client that keeps no connections open, and that can leave whenever the test wants. */

import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http'

export interface Answer {
  readonly status: number
  readonly body: string
  readonly headers: IncomingMessage['headers']
  /** Whether the connection was cut before the end of the response. */
  readonly isCut: boolean
}

export interface Asked {
  /** Resolves with the response; rejects if there is none. */
  readonly answer: Promise<Answer>
  /** Resolves at the head of the response. */
  readonly head: Promise<IncomingMessage>
  /** Resolves at the first bytes of its body. */
  readonly begun: Promise<void>
  /** Closes the connection. */
  leave(): void
}

export interface Ask {
  method?: string
  json?: unknown
  /** A body that is not JSON. The caller sets its type in the headers. */
  body?: string | Buffer
  headers?: OutgoingHttpHeaders
  /** The encoding that decodes the response body; 'latin1' keeps every byte. Default 'utf8'. */
  encoding?: BufferEncoding
}

/** Sends a request on its own connection. */
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
        // 'close' follows, and `complete` is false then.
        response.on('error', () => {})
        response.once('close', () => {
          const { statusCode, headers, complete } = response
          resolve({ status: statusCode ?? 0, body: text, headers, isCut: !complete })
        })
      })
  )
  // A test that makes the client leave does not await the response.
  head.catch(() => {})
  answer.catch(() => {})
  sent.end(body)
  return { answer, head, begun, leave: () => sent.destroy() }
}
