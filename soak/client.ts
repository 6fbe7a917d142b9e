/** Sends one request of the soak, as a client that may close its connection at any moment. */

import { type Agent, get } from 'node:http'
import { type Ending, routeOf } from './endings.js'
import type { Outcome } from './outcome.js'

// Twice the longest deadline: a response that has not come by then will not come.
const patienceMs = 30_000
// How long a client that leaves during the handler stays at most.
const mostStayMs = 300

export interface Asked {
  readonly port: number
  readonly agent: Agent
  readonly request: number
}

/** Resolves when the request has ended. */
export function ask({ port, agent, request }: Asked, ending: Ending): Promise<Outcome> {
  return new Promise((resolve) => {
    const sent = get({
      host: '127.0.0.1',
      port,
      path: routeOf(ending),
      // A client that leaves closes its connection, so other requests must not use it.
      agent: ending.leaves === undefined ? agent : false,
      headers: { 'x-soak-request': request }
    })
    let leaving: NodeJS.Timeout | undefined
    const patience = setTimeout(
      () => end({ kind: 'failed', code: `nothing for ${patienceMs} ms` }),
      patienceMs
    )
    // Only the first end counts: `destroy()` below causes 'close' and 'error' events.
    const end = (outcome: Outcome): void => {
      clearTimeout(patience)
      clearTimeout(leaving)
      if (outcome.kind !== 'answered') sent.destroy()
      resolve(outcome)
    }
    const leave = (): void => end({ kind: 'left' })
    sent.on('error', (error: NodeJS.ErrnoException) =>
      end({ kind: 'failed', code: error.code ?? error.message })
    )
    sent.once('response', (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (part: string) => {
        body += part
        if (ending.leaves === 'streaming') leave()
      })
      // The 'close' handler reports it: the response is not complete then.
      response.on('error', () => {})
      response.once('close', () => {
        end({ kind: 'answered', status: response.statusCode ?? 0, body, isCut: !response.complete })
      })
    })
    if (ending.leaves === 'before') sent.once('finish', leave)
    if (ending.leaves === 'while') leaving = setTimeout(leave, Math.random() * mostStayMs)
  })
}
