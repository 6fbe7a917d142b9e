/** How large the workers are that start commands, and workers of these sizes. */

import { Actor } from './actor.js'
import type { Contestant } from './contestants.js'

export interface Size {
  readonly name: string
  readonly megabytes: number
  readonly kind: 'buffers' | 'heap'
}

/** From a worker that has done nothing yet to one with large caches. */
export const sizes: readonly Size[] = [
  { name: '50 MB', megabytes: 50, kind: 'buffers' },
  { name: '500 MB', megabytes: 500, kind: 'buffers' },
  { name: '2 GB', megabytes: 2_000, kind: 'buffers' },
  { name: '2 GB of heap', megabytes: 2_000, kind: 'heap' }
]

/** Starts a worker of that size that starts commands in the way of that contestant. */
export function startSpawner(contestant: Contestant, { megabytes, kind }: Size): Promise<Actor> {
  return Actor.start('spawner', [contestant, String(megabytes), kind], ['--max-old-space-size=6000'])
}
