/** One request of the soak's own client, which may go away at a moment of its choice. */

import { type Agent, get } from 'node:http'
import { type Ending, routeOf } from './endings.js'

/** What the client saw of its request's end. */
export type Outcome =
  | {
      readonly kind: 'answered'
      readonly status: number
      readonly body: string
      /** Whether the connection was cut before the end of the answer. */
      readonly isCut: boolean
    }
  /** The client itself has closed the connection. */
  | { readonly kind: 'left' }
  | { readonly kind: 'failed'; readonly code: string }

// Twice the longest deadline: who has no answer then will have none.
const patienceMs = 30_000
/** How long a client stays that leaves while the handler runs. */
const mostStayMs = 300

export interface Asked {
  readonly port: number
  readonly agent: Agent
  readonly request: number
}

/** Sends a request and resolves with its end. */
export function ask({ port, agent, request }: Asked, ending: Ending): Promise<Outcome> {
  return new Promise((resolve) => {
    const sent = get({
      host: '127.0.0.1',
      port,
      path: routeOf(ending),
      // One that leaves closes its connection, which should be no other's.
      agent: ending.leaves === undefined ? agent : false,
      headers: { 'x-soak-request': request }
    })
    let leaving: NodeJS.Timeout | undefined
    const patience = setTimeout(
      () => end({ kind: 'failed', code: `nothing for ${patienceMs} ms` }),
      patienceMs
    )
    // The first end counts: what is destroyed here closes and fails thereafter.
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
      // Told by 'close', where it shows as not complete.
      response.on('error', () => {})
      response.once('close', () => {
        end({ kind: 'answered', status: response.statusCode ?? 0, body, isCut: !response.complete })
      })
    })
    if (ending.leaves === 'before') sent.once('finish', leave)
    if (ending.leaves === 'while') leaving = setTimeout(leave, Math.random() * mostStayMs)
  })
}
