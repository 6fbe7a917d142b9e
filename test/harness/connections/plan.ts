/** A generated connection: protocol, requests and ending. */

import fc from 'fast-check'
import { type Ending, endingOfHttp1, endingOfHttp2 } from './endings.js'
import { blocksOthers, request, type Sent, settles, socketRequest } from './requests.js'

export const serverNames = ['Fastify', 'Fastify, HTTP/2', 'Express 5'] as const
export type ServerName = (typeof serverNames)[number]

export interface Plan {
  readonly server: ServerName
  /** `HTTP/1.1 close` sends `Connection: close` with its last request. */
  readonly protocol: 'HTTP/1.1' | 'HTTP/1.1 close' | 'HTTP/1.0' | 'HTTP/2'
  /** Whether all requests are sent at once, or each after the response to the previous one. */
  readonly isPipelined: boolean
  readonly requests: readonly Sent[]
  readonly ending: Ending
}

const most = 8
const small = 16
const http1 = fc.record({
  server: fc.constantFrom('Fastify' as const, 'Express 5' as const),
  protocol: fc.oneof(
    { weight: 4, arbitrary: fc.constant('HTTP/1.1' as const) },
    { weight: 1, arbitrary: fc.constantFrom('HTTP/1.1 close' as const, 'HTTP/1.0' as const) }
  ),
  isPipelined: fc.oneof({ weight: 3, arbitrary: fc.constant(true) }, fc.constant(false)),
  requests: fc.array(request, { minLength: 1, maxLength: most }),
  ending: endingOfHttp1
})
const http2 = fc.record({
  server: fc.constant('Fastify, HTTP/2' as const),
  protocol: fc.constant('HTTP/2' as const),
  isPipelined: fc.constant(true),
  requests: fc.array(request, { minLength: 1, maxLength: most }),
  ending: endingOfHttp2
})
// Express has no WebSocket: an upgrade does not pass through it.
const socket = fc.record({
  server: fc.constant('Fastify' as const),
  protocol: fc.constant('HTTP/1.1' as const),
  isPipelined: fc.constant(false),
  requests: fc.tuple(socketRequest),
  ending: endingOfHttp1
})

export const plan: fc.Arbitrary<Plan> = fc
  .oneof({ weight: 5, arbitrary: http1 }, { weight: 2, arbitrary: http2 }, { weight: 1, arbitrary: socket })
  .map(possible)

/** Restricts what was drawn to what a client can do and what ends. */
function possible(drawn: Plan): Plan {
  const { protocol, ending } = drawn
  let requests = drawn.requests
  // Nothing can follow half a body on the same connection.
  const half = requests.findIndex(({ isHalf }) => isHalf)
  if (protocol !== 'HTTP/2' && half !== -1) requests = requests.slice(0, half + 1)
  // Node answers at once with 400 to anything that follows a request which ends its
  // connection, whether that has been answered or not.
  if (protocol === 'HTTP/1.0') requests = requests.slice(0, 1)
  // If so much waits to be sent on a connection, Node does not read from it, and does not see its end.
  const flood = requests.findIndex(({ kind }, index) => kind === 'floods' && index > 0)
  if (protocol !== 'HTTP/2' && flood !== -1) requests = requests.slice(0, flood + 1)
  // Two large uploads that are not read fill the window of their HTTP/2 session, and the other streams wait.
  const large = requests.findIndex(({ upload }) => upload > small)
  if (protocol === 'HTTP/2')
    requests = requests.map((sent, index) =>
      index > large && sent.upload > small ? { ...sent, upload: small } : sent
    )
  // A client that reads all responses needs all of them to end.
  if (ending.how === 'reads' || ending.how === 'says goodbye')
    requests = requests.map((sent) => (settles(sent) ? sent : { ...sent, deadline: 'soon' }))
  return { ...drawn, requests }
}

/**
 * How many handlers certainly begin if the client sends everything it can
 * and stays, unless the server closes first.
 */
export function willBegin({ protocol, isPipelined, requests }: Plan): number {
  if (protocol === 'HTTP/2') return requests.length
  const last = requests.findIndex((sent) => blocksOthers(sent) || (!isPipelined && !settles(sent)))
  return last === -1 ? requests.length : last + 1
}
