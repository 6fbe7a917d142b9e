/** Sweeps once when the keeper has started: ends the leftovers of dead workers, and logs what was ended. */

import type { OrphanAdopter } from '../containment/find-orphan-adopter.js'
import type { NativeCalls } from '../platform/current.js'
import { sweep } from '../sweep/sweep.js'
import type { KeeperMessage } from '../wire/messages.js'
import { freeMemory } from './free-memory.js'

export async function sweepAtStart(
  native: NativeCalls | undefined,
  graceMs: number,
  adopter: OrphanAdopter,
  send: (message: KeeperMessage) => void
): Promise<void> {
  try {
    const warn = (message: string): void => send({ type: 'log', level: 'warn', fields: {}, message })
    const processes = await sweep(native, graceMs, adopter, warn)
    if (processes.length === 0) return
    const survived = processes.filter(({ ended }) => ended === 'survived').length
    const ended = processes.length - survived
    const message = `leftovers of dead workers: ended ${ended} processes, ${survived} survived`
    send({ type: 'log', level: survived === 0 ? 'warn' : 'error', fields: { processes }, message })
  } catch (error) {
    const message = `the sweep for leftovers of dead workers failed: ${(error as Error).message}`
    send({ type: 'log', level: 'error', fields: {}, message })
  } finally {
    // A sweep reads the environments of all processes of this user.
    freeMemory(native)
  }
}
