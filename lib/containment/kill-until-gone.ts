/** Sends SIGKILL until no process of the scope is left. What withstands SIGKILL for 5 s is a survivor. */

import type { Member } from './census.js'
import type { Ending } from './ending.js'
import { PauseAwareDeadline } from './pause-aware-deadline.js'
import { firstScanLimit, restScanDelayMs } from './scope-scans.js'

// How long a process may take to die of SIGKILL before it counts as a survivor, in ms: a process in
// uninterruptible sleep never dies, and one with many gigabytes needs a while to free them.
const proofMs = 5_000
const longestPauseMs = 50

/**
 * Repeats SIGKILL, since a process that forks all the time escapes a single one. A scan of a large tree takes
 * the time in which the tree would die, so no more than half of the time is spent on scans.
 */
export async function killUntilGone(ending: Ending): Promise<void> {
  const { scans, processes } = ending
  const deadline = new PauseAwareDeadline(proofMs)
  let most = firstScanLimit
  let pauseMs = 1
  let killAt = 0
  while (!(await scans.isEmpty())) {
    const now = deadline.now()
    if (now > deadline.until) {
      scans.attempt(() => noteSurvivors(ending))
      if (scans.failure !== undefined) processes.noteAllKnown(scans.failure)
      return
    }
    if (now >= killAt) {
      scans.attempt(() => killAll(ending, scans.living(most)))
      if (scans.failure !== undefined) killLeaders(ending)
      const doneAt = performance.now()
      killAt = doneAt + (scans.isPartial ? restScanDelayMs : Math.max(pauseMs, doneAt - now))
      pauseMs = Math.min(pauseMs * 2, longestPauseMs)
      most = Number.POSITIVE_INFINITY
    }
    await scans.waitForChange(Math.max(killAt - performance.now(), 0), deadline)
  }
}

function killAll({ scans, signals, processes }: Ending, members: readonly Member[]): void {
  const texts = processes.argumentsOfAll(members)
  const killed = scans.kill()
  const others = members.filter(({ stat }) => !killed.has(stat.pid))
  signals.sendToAll(others, 'SIGKILL')
  processes.noteAll(members, 'SIGKILL', texts)
}

/** Kills what can be identified without a scan: the running leaders, and the groups that they lead. */
function killLeaders({ scanner, scope, signals, processes }: Ending): void {
  for (const [pid, text] of scope.leaders) {
    const isDue = scanner.command === undefined || scope.commands.numberOfLeader(pid) === scanner.command
    if (isDue && signals.killLeader(pid)) processes.noteLeader(pid, text)
  }
}

function noteSurvivors({ scans, signals, processes }: Ending): void {
  for (const member of scans.living()) {
    const { stat } = member
    const refused = signals.send(member, 'SIGKILL')
    const why =
      refused === undefined
        ? `in state ${stat.state} ${proofMs} ms after SIGKILL`
        : `SIGKILL was refused: ${refused}`
    processes.noteSurvivor(stat, why)
  }
}
