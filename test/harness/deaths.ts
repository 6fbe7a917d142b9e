/** The ways in which a worker ends. */

import type { Worker } from './worker.js'

export interface Death {
  readonly cause: string
  readonly die: (worker: Worker) => void
  /** The exit status that a shell reports for the worker. It proves that the worker died of this cause. */
  readonly status?: number
  readonly nodeFlags?: readonly string[]
}

const killed: Death = {
  cause: 'is killed with SIGKILL',
  die: (worker) => worker.kill('SIGKILL'),
  status: 128 + 9
}

export const deaths: readonly Death[] = [
  killed,
  { cause: 'is ended by SIGTERM', die: (worker) => worker.kill('SIGTERM'), status: 128 + 15 },
  { cause: 'calls process.exit()', die: (worker) => worker.end('exit'), status: 0 },
  { cause: 'throws an uncaught exception', die: (worker) => worker.end('throw'), status: 1 },
  { cause: 'calls process.abort()', die: (worker) => worker.end('abort'), status: 128 + 6 },
  {
    cause: 'runs out of heap',
    die: (worker) => worker.end('exhaust-heap'),
    status: 128 + 6,
    nodeFlags: ['--max-old-space-size=64']
  }
]

export const deathsByTerminal: readonly Death[] = [
  { cause: 'is interrupted by Ctrl-C', die: (worker) => worker.type('\x03'), status: 128 + 2 },
  // Its shell ends too, so there is no exit status.
  { cause: 'loses its terminal', die: (worker) => worker.hangUp() }
]
