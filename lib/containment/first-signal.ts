/**
 * The first signal (SIGTERM by default) and the grace period after it: each process gets the signal once, in
 * the order of `firstSignalTo`, and again only where it cannot have handled it.
 */

import { setTimeout as pause } from 'node:timers/promises'
import type { ProcessStat } from '../platform/current.js'
import type { Member } from './census.js'
import type { Ending } from './ending.js'
import { LeaderFirstSignals } from './leader-first-signals.js'
import { PauseAwareDeadline } from './pause-aware-deadline.js'
import { processKey } from './process-identity.js'
import { firstScanLimit, restScanDelayMs } from './scope-scans.js'

// How long one process takes to die, in ms. For that time the keeper leaves the processor to the tree:
// reaping each process at once slows down the others.
const deathMs = 0.06
// When to scan first for processes that cannot have handled the signal. The time doubles after each scan.
const firstPauseMs = 100

export class FirstSignal {
  readonly #ending: Ending
  readonly #signal: NodeJS.Signals
  readonly #delayed: LeaderFirstSignals

  constructor(ending: Ending, signal: NodeJS.Signals) {
    this.#ending = ending
    this.#signal = signal
    this.#delayed = new LeaderFirstSignals(ending.scope, signal)
  }

  /** Sends the signal to every process, except those for which it is delayed. */
  send(): void {
    const { scans } = this.#ending
    scans.attempt(() => {
      const living = scans.living(firstScanLimit)
      this.#send(this.#delayed.holdBack(living), living)
    })
  }

  /**
   * Waits for the tree to end by itself, and signals the processes that have not got the signal or cannot
   * have handled it.
   */
  async isOverWithin(graceMs: number): Promise<boolean> {
    const { scans, signals, processes } = this.#ending
    const deadline = new PauseAwareDeadline(graceMs)
    scans.delayReaping(Math.min(signals.lastAt + processes.size * deathMs - performance.now(), graceMs))
    if (scans.isPartial) {
      await pause(Math.min(restScanDelayMs, graceMs))
      scans.attempt(() => this.#sendToRest())
    }
    let pauseMs = firstPauseMs
    let missedAt = performance.now() + pauseMs
    let delayedAt = 0
    for (;;) {
      // Before the scan, which takes long where many processes have lost their parent.
      scans.attempt(() => {
        if (this.#sendToGroupsOfEndedCommands()) delayedAt = performance.now() + restScanDelayMs
      })
      if (await scans.isEmpty()) return true
      const now = deadline.now()
      if (now >= deadline.until) return false
      const halfAt = deadline.until - graceMs / 2
      if (this.#delayed.any && (now >= halfAt || now >= delayedAt)) {
        scans.attempt(() => this.#sendToDelayed(now >= halfAt))
        // Spend no more than half of the time on scans.
        delayedAt = 2 * performance.now() - now
      }
      if (now >= missedAt) {
        scans.attempt(() => this.#sendToMissed())
        pauseMs *= 2
        missedAt = now + pauseMs
      }
      const nextAt = this.#delayed.any ? Math.min(missedAt, now < delayedAt ? delayedAt : halfAt) : missedAt
      await scans.waitForChange(Math.max(Math.min(deadline.until, nextAt) - now, 0), deadline)
    }
  }

  /**
   * Sends the signal, and SIGCONT to stopped processes, which cannot die of SIGTERM. Leaves out those of
   * `members` that got it when their command alone was ended. The other living processes must not get it.
   */
  #send(members: readonly Member[], living: readonly Member[]): void {
    const { scope, signals, processes } = this.#ending
    const recipients = members.filter(({ stat }) => !scope.firstSignalled.has(processKey(stat)))
    const texts = processes.argumentsOfAll(members)
    for (const { stat } of recipients) scope.firstSignalled.add(processKey(stat))
    const chosen = new Set(recipients)
    const otherGroups = new Set(living.flatMap((member) => (chosen.has(member) ? [] : [member.stat.group])))
    signals.sendToAll(recipients, this.#signal, otherGroups)
    const stopped = recipients.filter(({ stat }) => isStopped(stat))
    signals.sendToAll(stopped, 'SIGCONT', otherGroups)
    processes.noteAll(members, this.#signal, texts)
  }

  /** Signals whole groups whose processes need not wait any longer. Returns whether there were any. */
  #sendToGroupsOfEndedCommands(): boolean {
    if (!this.#delayed.any) return false
    const groups = this.#delayed.takeGroupsOfEndedCommands()
    for (const [group, stats] of groups) {
      // It refuses the keeper's own group. The processes in it are signalled later, as missed ones.
      if (this.#ending.signals.sendToGroup(group, this.#signal)) this.#noteGroupMembers(stats)
    }
    return groups.size > 0
  }

  /** Sends the signal to processes that need not wait any longer. */
  #sendToDelayed(isTimeUp: boolean): void {
    const living = this.#ending.scans.living()
    const due = this.#delayed.takeDue(living, isTimeUp)
    this.#noteGroupMembers(living.map(({ stat }) => stat))
    this.#send(due, living)
  }

  /** Sends the signal to the processes of a large tree that the first scan left out. */
  #sendToRest(): void {
    const { scans, processes } = this.#ending
    const living = scans.living()
    this.#noteGroupMembers(living.map(({ stat }) => stat))
    this.#send(
      this.#delayed.holdBack(living).filter(({ stat }) => !processes.has(stat)),
      living
    )
  }

  /** Every member of a group that was signalled as a whole has got the signal. */
  #noteGroupMembers(stats: readonly ProcessStat[]): void {
    const { scope, signals, processes } = this.#ending
    for (const stat of stats) {
      if (!signals.groups.has(stat.group) || processes.has(stat)) continue
      processes.note(stat, this.#signal)
      scope.firstSignalled.add(processKey(stat))
    }
  }

  /**
   * Sends the signal to processes that cannot have handled it. First, a child that was born later and whose
   * parent has ended: with a living parent, a handler of the first signal started it, and it has the grace
   * period to finish. Second, a process that was just between fork and exec: the handler inherited from its
   * parent took the signal, and the program that it became did not get it.
   */
  #sendToMissed(): void {
    const { scope, scans, signals, processes } = this.#ending
    const living = scans.living()
    const parents = new Set(living.map(({ stat }) => stat.pid))
    for (const member of living) {
      const { stat } = member
      // Stopped since the first signal, which stays pending.
      if (isStopped(stat)) signals.send(member, 'SIGCONT')
      if (this.#delayed.has(stat)) continue
      const wasSignalled = processes.has(stat)
      if (wasSignalled ? processes.runsSameProgram(stat) : parents.has(stat.parent)) continue
      const wasSignalledByOther = !wasSignalled && scope.firstSignalled.has(processKey(stat))
      // The children of this process count as orphans, too. Parents come before their children.
      parents.delete(stat.pid)
      processes.note(stat, this.#signal)
      if (wasSignalledByOther) continue
      scope.firstSignalled.add(processKey(stat))
      signals.send(member, this.#signal)
    }
  }
}

// T: by a signal. t: by a debugger (proc_pid_stat(5)).
function isStopped({ state }: ProcessStat): boolean {
  return state === 'T' || state === 't'
}
