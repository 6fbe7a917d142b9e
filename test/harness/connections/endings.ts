/** How and when the client of a generated connection ends it. */

import fc from 'fast-check'
import { nodeMajor } from '../node-major.js'

/** When it ends: all but the first are moments of no meaning, on which nothing is asserted. */
export type Moment =
  /** When every handler that can begin has begun, and has its command. */
  | { readonly at: 'begun' }
  /** So many ms after that. */
  | { readonly at: 'later'; readonly ms: number }
  /** When so many bytes have come, or some time after all have begun. */
  | { readonly at: 'received'; readonly bytes: number }
  /** When only so many percent of all bytes are sent: in the middle of a head or of a body. */
  | { readonly at: 'sent'; readonly percent: number }

export type Ending =
  /** Waits for all answers, and closes. */
  | { readonly how: 'reads' }
  /** Closes its half, and waits for the server. */
  | { readonly how: 'half-closes'; readonly when: Moment }
  /** Closes all: what comes then is answered with a reset. */
  | { readonly how: 'leaves'; readonly when: Moment }
  | { readonly how: 'resets'; readonly when: Moment }
  /** HTTP/2: cancels every stream, or every second one, whose answers it then reads; and closes. */
  | { readonly how: 'cancels'; readonly when: Moment; readonly which: 'all' | 'even' }
  /** HTTP/2: GOAWAY, then it waits for the answers of what settles, and closes. */
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

// GOAWAY overtakes requests that are sent in the same moment. A request that comes after it corrupts the heap of any HTTP/2 server on
// Node 20.20, which uses a stream that it has freed: seen with `node:http2` alone, and not on 22.23 and 24.21.
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
