/** How and when the client of a generated connection ends the connection. */

import fc from 'fast-check'
import { nodeMajor } from '../node-major.js'

/** When the client ends it. All moments but the first are arbitrary: nothing is asserted about them. */
export type Moment =
  /** When every handler that can begin has begun and has its command. */
  | { readonly at: 'begun' }
  /** So many ms after that. */
  | { readonly at: 'later'; readonly ms: number }
  /** When so many bytes have been received, or some time after all handlers have begun. */
  | { readonly at: 'received'; readonly bytes: number }
  /** When only so many percent of all bytes are sent: in the middle of a head or a body. */
  | { readonly at: 'sent'; readonly percent: number }

export type Ending =
  /** Waits for all responses, then closes. */
  | { readonly how: 'reads' }
  /** Closes its half of the connection, and waits for the server. */
  | { readonly how: 'half-closes'; readonly when: Moment }
  /** Closes the socket. Later packets of the server are answered with a reset. */
  | { readonly how: 'leaves'; readonly when: Moment }
  | { readonly how: 'resets'; readonly when: Moment }
  /** HTTP/2: cancels every stream, or every second one and reads the responses of the others. Then closes. */
  | { readonly how: 'cancels'; readonly when: Moment; readonly which: 'all' | 'even' }
  /** HTTP/2: sends GOAWAY, waits for the responses that are still to come, and closes. */
  | { readonly how: 'says goodbye'; readonly when: Moment }
  /** HTTP/2: destroys its session. */
  | { readonly how: 'destroys'; readonly when: Moment }

const whenAllIsSent: fc.Arbitrary<Moment>[] = [
  fc.constant({ at: 'begun' } as const),
  fc.record({ at: fc.constant('later' as const), ms: fc.nat({ max: 30 }) }),
  fc.record({ at: fc.constant('received' as const), bytes: fc.integer({ min: 1, max: 600 }) })
]
const moment: fc.Arbitrary<Moment> = fc.oneof(
  ...whenAllIsSent,
  fc.record({ at: fc.constant('sent' as const), percent: fc.integer({ min: 1, max: 99 }) })
)

const reads: fc.Arbitrary<Ending> = fc.constant({ how: 'reads' })
const leaves: fc.Arbitrary<Ending> = fc.record({
  how: fc.constantFrom('leaves' as const, 'resets' as const),
  when: moment
})

export const endingOfHttp1: fc.Arbitrary<Ending> = fc.oneof(
  { weight: 2, arbitrary: reads },
  { weight: 1, arbitrary: fc.record({ how: fc.constant('half-closes' as const), when: moment }) },
  { weight: 3, arbitrary: leaves }
)

// GOAWAY overtakes requests that are sent at the same moment. On Node 20.20, a request that arrives after
// GOAWAY corrupts the heap of any HTTP/2 server, which uses a freed stream. This happens with `node:http2`
// alone, but not on Node 22.23 and 24.21.
const goodbyeMoment = nodeMajor < 22 ? fc.oneof(...whenAllIsSent) : moment

export const endingOfHttp2: fc.Arbitrary<Ending> = fc.oneof(
  reads,
  leaves,
  fc.record({
    how: fc.constant('cancels' as const),
    when: moment,
    which: fc.constantFrom('all' as const, 'even' as const)
  }),
  fc.record({ how: fc.constant('destroys' as const), when: moment }),
  fc.record({ how: fc.constant('says goodbye' as const), when: goodbyeMoment })
)
