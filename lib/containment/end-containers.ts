/** Ends containers: asks their processes to end, waits for the grace period, and ends the rest at once. */

import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises'
import type { Container, ProcessStat } from '../platform/current.js'
import type { EndedProcess } from '../wire/messages.js'
import { PauseAwareDeadline } from './pause-aware-deadline.js'
import { processKey } from './process-identity.js'
import type { TerminateOptions } from './scope-record.js'

// How long a process may take to end after it was killed, before it counts as a survivor, in ms.
const proofMs = 5_000
const longestPauseMs = 25

/**
 * Resolves with how each process ended, when all containers are empty, or with survivors. `containers` returns
 * those that there are now. Never rejects.
 */
export async function endContainers(
  containers: () => readonly Container[],
  { graceMs, killSignal }: TerminateOptions,
  commandOf: (stat: ProcessStat) => string
): Promise<EndedProcess[]> {
  const ended = new Map<string, EndedProcess>()
  const note = (container: Container, how: Pick<EndedProcess, 'ended' | 'why'>): void => {
    for (const stat of container.members()) {
      const key = processKey(stat)
      const command = ended.get(key)?.command ?? commandOf(stat)
      ended.set(key, { pid: stat.pid, command, ...how })
    }
  }
  const occupied = (): Container[] => containers().filter((container) => !container.isEmpty())
  // What is being started in this turn of the event loop is in its container after it.
  await turn()
  const kill = (container: Container): void => {
    note(container, { ended: 'SIGKILL' })
    container.kill()
  }
  if (killSignal !== 'SIGKILL') {
    const asked = new Set(occupied())
    for (const container of asked) {
      note(container, { ended: killSignal })
      if (container.requestEnd()) continue
      // One whose processes cannot be asked needs no time.
      asked.delete(container)
      kill(container)
    }
    if (asked.size > 0) await areEmptyWithin(graceMs, () => occupied().filter((one) => asked.has(one)))
  }
  const isOver = await areEmptyWithin(proofMs, () => {
    const left = occupied()
    for (const container of left) kill(container)
    return left
  })
  if (!isOver) {
    const why = `alive ${proofMs} ms after it was ended`
    for (const container of occupied()) note(container, { ended: 'survived', why })
  }
  return [...ended.values()]
}

/** Looks again and again. Returns whether `left` has returned no container before the time is up. */
async function areEmptyWithin(ms: number, left: () => readonly Container[]): Promise<boolean> {
  const deadline = new PauseAwareDeadline(ms)
  for (let pauseMs = 1; left().length > 0; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
    if (deadline.now() > deadline.until) return false
    await pause(pauseMs)
    deadline.now(pauseMs)
  }
  return true
}
