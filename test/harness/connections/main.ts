/**
 * A process that runs many generated connections, and reports the size of its heap after each part of them.
 */

import { setTimeout as pause } from 'node:timers/promises'
import { getHeapCodeStatistics } from 'node:v8'
import { createGuard } from 'fastify-subprocess-guard'
import { patienceMs } from '../patience.js'
import { Laws } from './laws.js'
import { check } from './property.js'

/** An order from the test. */
export interface Order {
  readonly seed: number
  readonly connections: number
}

export type Told = { readonly count: number; readonly heapBytes: number } | { readonly broken: string }

const atOnce = 50
// Longer than events that nobody reads are held back. In ms.
const settlesMs = 7_000
// All servers share one keeper.
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

/** The minimum over some time: what is held back, or released by a check every second, is freed only then. */
async function heapBytes(): Promise<number> {
  let least = Number.POSITIVE_INFINITY
  const until = performance.now() + settlesMs
  while (performance.now() < until) {
    await pause(500)
    globalThis.gc?.()
    // Excludes code, which is compiled and optimized for a long time.
    const { code_and_metadata_size: code, bytecode_and_metadata_size: bytecode } = getHeapCodeStatistics()
    least = Math.min(least, process.memoryUsage().heapUsed - code - bytecode)
  }
  return least
}

function tell(told: Told): void {
  process.send?.(told)
}
