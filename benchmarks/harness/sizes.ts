/** The sizes of the workers that start commands, and workers of these sizes. */

import { Actor } from './actor.js'
import type { Contestant } from './contestants.js'
import { readSettings } from './settings.js'

export interface Size {
  readonly name: string
  readonly megabytes: number
  readonly kind: 'buffers' | 'heap'
}

// The short form does not need meaningful figures, so it does not fill gigabytes.
const share = readSettings().short ? 0.1 : 1

/** From a worker that has just started to one with large caches. */
export const sizes: readonly Size[] = [
  { name: '50 MB', megabytes: 50, kind: 'buffers' },
  { name: '500 MB', megabytes: 500 * share, kind: 'buffers' },
  { name: '2 GB', megabytes: 2_000 * share, kind: 'buffers' },
  { name: '2 GB of heap', megabytes: 2_000 * share, kind: 'heap' }
]

export interface Spawner {
  readonly name: Contestant
  readonly actor: Actor
}

/** Starts a worker of this size for each contestant, runs `measure`, and ends the workers. */
export async function withSpawners(
  contestants: readonly Contestant[],
  { megabytes, kind }: Size,
  measure: (spawners: readonly Spawner[]) => Promise<void>
): Promise<void> {
  const spawners: Spawner[] = []
  try {
    for (const name of contestants) {
      const actor = await Actor.start(
        'spawner',
        [name, String(megabytes), kind],
        ['--max-old-space-size=6000']
      )
      spawners.push({ name, actor })
    }
    await measure(spawners)
  } finally {
    await Promise.all(spawners.map(({ actor }) => actor.end()))
  }
}
