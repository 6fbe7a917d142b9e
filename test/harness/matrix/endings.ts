/**
 * The endings of the matrix: what ends the scopes of all requests of a batch, and what the clients must see.
 */

import { passDeadlines } from '../deadlines.js'
import { eventually } from '../expectations.js'
import { lives } from '../proc.js'
import type { Stage } from './handlers.js'

/** What an ending can do to a batch of requests. */
export interface Endable {
  /** The number of pending requests. */
  readonly count: number
  readonly keeper: number
  leave(): Promise<void>
  throwInHandlers(): void
  /** Starts more processes in each scope than `limitedProcesses`. */
  exceedLimit(): void
  /** Begins to close the server. */
  shutDown(): void
}

/**
 * What the client must see: the handler's own answer, the error thrown in it, an error of
 * the guard, or nothing because it has left.
 */
export type Expected = 'own' | 'thrown' | 'none' | `ERR_SUBPROCESS_${string}`

export interface Ending {
  readonly name: string
  readonly stage: Stage
  readonly expected: Expected
  /** Whether it closes the server. */
  readonly closes: boolean
  /** Whether the server limits the processes of each request. */
  readonly isLimited: boolean
  /** Whether it kills the keeper. */
  readonly losesKeeper: boolean
  end(batch: Endable): Promise<void>
}

/** More than any handler starts. */
export const limitedProcesses = 12

interface Cause {
  readonly name: string
  readonly stages: readonly Stage[]
  readonly expected: Expected
  end(batch: Endable): Promise<void>
}

const stageNames: Record<Stage, string> = {
  answer: '',
  throw: '',
  unstarted: ' before the start',
  headless: ' before the headers',
  begun: ' after the headers'
}

const causes: readonly Cause[] = [
  { name: 'the handler answers', stages: ['answer'], expected: 'own', end: async () => {} },
  {
    name: 'the handler throws',
    stages: ['throw'],
    expected: 'thrown',
    end: async (batch) => batch.throwInHandlers()
  },
  {
    name: 'deadline',
    stages: ['unstarted', 'headless', 'begun'],
    expected: 'ERR_SUBPROCESS_DEADLINE',
    end: ({ count }) => passDeadlines({ count })
  },
  {
    name: 'limit',
    // A request that has started nothing exceeds nothing.
    stages: ['headless', 'begun'],
    expected: 'ERR_SUBPROCESS_LIMIT',
    end: async (batch) => batch.exceedLimit()
  },
  {
    name: 'client gone',
    stages: ['unstarted', 'headless', 'begun'],
    expected: 'none',
    end: (batch) => batch.leave()
  },
  {
    name: 'shutdown',
    stages: ['unstarted', 'headless', 'begun'],
    expected: 'ERR_SUBPROCESS_SHUTDOWN',
    end: async (batch) => batch.shutDown()
  },
  {
    name: 'keeper killed',
    // A request that has started nothing loses nothing.
    stages: ['headless', 'begun'],
    expected: 'ERR_SUBPROCESS_KEEPER_LOST',
    async end({ keeper }) {
      process.kill(keeper, 'SIGKILL')
      await eventually('the keeper is dead', () => !lives(keeper))
    }
  }
]

export const endings: readonly Ending[] = causes.flatMap(({ name, stages, expected, end }) =>
  stages.map((stage) => ({
    name: name + stageNames[stage],
    stage,
    expected,
    closes: name === 'shutdown',
    isLimited: name === 'limit',
    losesKeeper: name === 'keeper killed',
    end
  }))
)
