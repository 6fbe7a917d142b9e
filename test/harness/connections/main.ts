/** The entry of a process that runs many generated connections, and tells what is on its heap after each part of them. */

import { createGuard } from 'fastify-subprocess-guard'
import { patienceMs } from '../patience.js'
import { Laws } from './laws.js'
import { check } from './property.js'

/** What it is to do. */
export interface Order {
  readonly seed: number
  readonly connections: number
}

export type Told = { readonly count: number; readonly heapBytes: number } | { readonly broken: string }

const atOnce = 50
// One keeper for all.
const guard = await createGuard()
const laws = await Laws.start(patienceMs)

process.on('message', async ({ seed, connections }: Order) => {
  try {
    const count = await check(laws, { seed, connections, atOnce })
    tell({ count, heapBytes: await heapBytes() })
  } catch (error) {
    tell({ broken: (error as Error).message })
  }
})
process.once('disconnect', async () => {
  await laws.close()
  await guard.close()
})
await laws.warmUp()

async function heapBytes(): Promise<number> {
  // What is finalised after one collection goes with the next one.
  for (let round = 0; round < 2; round++) {
    globalThis.gc?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return process.memoryUsage().heapUsed
}

function tell(told: Told): void {
  process.send?.(told)
}
