/** The end of a scope: ask, wait, kill, prove. The one place that signals processes. */

import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises'
import type { EndedProcess } from '../keeper/protocol.js'
import { type Libc, signalByNumber } from '../platform/libc.js'
import { commandOf, nameOf, type ProcessStat, statOf } from '../platform/linux.js'
import type { Member, ScopeRecord, Search } from './members.js'

// How long a process may take to die of SIGKILL before it is called a survivor: one in uninterruptible sleep
// never does, one with many gigabytes needs a while to give them back.
const proofMs = 5_000
const longestPauseMs = 50
// A look at a thousand processes takes as long as their end. So a large tree is signalled by its groups when so many of it
// are known, and the rest of it is looked at when those have had this time to go.
const mostAtFirst = 128
const restAfterMs = 25
// If the keeper neither waited nor worked for longer than this, in ms, it was paused, and its processes may have been, too.
const pausedMs = 100
// When to look, after the first signal, for those that cannot have heard it; then after twice that, and so on.
const firstPauseMs = 100

/**
 * Ends every process of a scope and resolves when none is left, or when what is left has withstood SIGKILL
 * for 5 s. What it says of a process that could not be ended is in the report.
 */
export async function terminate(
  search: Search,
  scope: ScopeRecord,
  libc: Libc | undefined
): Promise<EndedProcess[]> {
  const ending = new Ending(search, scope, libc)
  if (await ending.isOver()) return ending.report()
  if (scope.killSignal !== 'SIGKILL') {
    ending.askToEnd()
    if (await ending.isOverWithin(scope.graceMs)) return ending.report()
  }
  await ending.killUntilOver()
  return ending.report()
}

class Ending {
  readonly #search: Search
  readonly #scope: ScopeRecord
  readonly #libc: Libc | undefined
  /** Every process that was signalled, by pid and start time. */
  readonly #signalled = new Map<string, EndedProcess>()
  /** What each of them was running when it was first asked to end. */
  readonly #asked = new Map<string, string>()
  /** The groups that were signalled as a whole. */
  readonly #askedGroups = new Set<number>()
  /** Those that were in their exit before the first signal: they end by themselves, and are waited for. */
  #leaving: ReadonlySet<string> | undefined
  /** Whether the last look has left some of a large tree out. */
  #isPartial = false

  constructor(search: Search, scope: ScopeRecord, libc: Libc | undefined) {
    this.#search = search
    this.#scope = scope
    this.#libc = libc
  }

  /** The first signal to every process once, and SIGCONT to who is stopped: it cannot die of SIGTERM. */
  askToEnd(): void {
    this.#ask(this.#living(mostAtFirst))
  }

  /** Waits for the tree to go of itself, and asks again where the first signal cannot have been heard. */
  async isOverWithin(ms: number): Promise<boolean> {
    const allowance = new Allowance(ms)
    if (this.#isPartial) {
      await pause(Math.min(restAfterMs, ms))
      this.#askRest()
    }
    let pauseMs = firstPauseMs
    let lookAt = performance.now() + pauseMs
    for (;;) {
      if (await this.isOver()) return true
      const now = allowance.now()
      if (now >= allowance.until) return false
      if (now >= lookAt) {
        this.#askAgain()
        pauseMs *= 2
        lookAt = now + pauseMs
      }
      await this.#changeWithin(Math.min(allowance.until, lookAt) - now, allowance)
    }
  }

  #ask(members: readonly Member[]): void {
    this.#signal(members, this.#scope.killSignal)
    this.#send(
      members.filter(({ stat }) => isStopped(stat)),
      'SIGCONT'
    )
  }

  /** Those of a large tree that were not known yet. Who is in a group that was asked has heard it. */
  #askRest(): void {
    const rest = this.#living().filter(({ stat }) => !this.#signalled.has(keyOf(stat)))
    for (const { stat } of rest) this.#note(stat, this.#scope.killSignal)
    this.#ask(rest.filter(({ stat }) => !this.#askedGroups.has(stat.group)))
  }

  /**
   * Asks who has not heard it. That is, first, a child that was born later and whose parent is gone: with a
   * parent, it was started by a handler of the first signal, and has the grace to finish. And second, a process
   * that was just between fork and exec: the handler it had from its parent took the signal, and the program
   * that it became knows nothing of it.
   */
  #askAgain(): void {
    const living = this.#living()
    const parents = new Set(living.map(({ stat }) => stat.pid))
    for (const member of living) {
      const { stat } = member
      // Stopped since: what it was sent waits for it.
      if (isStopped(stat)) this.#signalOne(member, 'SIGCONT')
      const wasAsked = this.#signalled.has(keyOf(stat))
      if (wasAsked ? this.#hasHeard(stat) : parents.has(stat.parent)) continue
      // What it has started is orphaned with it. Parents come before their children.
      parents.delete(stat.pid)
      this.#note(stat, this.#scope.killSignal)
      this.#signalOne(member, this.#scope.killSignal)
    }
  }

  #hasHeard(stat: ProcessStat): boolean {
    const key = keyOf(stat)
    return !this.#asked.has(key) || this.#asked.get(key) === stat.image
  }

  /**
   * SIGKILL to all that is left, again and again, since what forks all the time escapes a single one. A look at a large tree
   * takes the time in which it would die, so no more than half of the time is for looks.
   */
  async killUntilOver(): Promise<void> {
    const allowance = new Allowance(proofMs)
    let most = mostAtFirst
    let pauseMs = 1
    let lookAt = 0
    while (!(await this.isOver())) {
      const now = allowance.now()
      if (now > allowance.until) return this.#nameSurvivors()
      if (now >= lookAt) {
        this.#signal(this.#living(most), 'SIGKILL')
        const doneAt = performance.now()
        lookAt = doneAt + (this.#isPartial ? restAfterMs : Math.max(pauseMs, doneAt - now))
        pauseMs = Math.min(pauseMs * 2, longestPauseMs)
        most = Number.POSITIVE_INFINITY
      }
      await this.#changeWithin(Math.max(lookAt - performance.now(), 0), allowance)
    }
  }

  async #changeWithin(ms: number, allowance: Allowance): Promise<void> {
    await this.#search.changeWithin(this.#scope, ms)
    allowance.now(ms)
  }

  /** Two looks in a row, a turn of the loop apart, since one may miss a process that is born during it. */
  async isOver(): Promise<boolean> {
    if (!this.#search.isEmpty(this.#scope)) return false
    await turn()
    return this.#search.isEmpty(this.#scope)
  }

  report(): EndedProcess[] {
    return [...this.#signalled.values()]
  }

  /** Those that are alive, or so many of them. */
  #living(most = Number.POSITIVE_INFINITY): Member[] {
    try {
      const members = this.#search.members(this.#scope, most)
      this.#isPartial = members.length >= most
      return members.filter((member) => member.stat.alive)
    } catch {
      // For want of descriptors. `isOver` does not take that for an end, and there is another look.
      return []
    }
  }

  #signal(members: readonly Member[], signal: NodeJS.Signals): void {
    this.#leaving ??= new Set(members.flatMap(({ stat }) => (stat.ending ? [keyOf(stat)] : [])))
    for (const { stat } of members) this.#note(stat, signal)
    this.#send(members, signal)
  }

  /**
   * Signals groups first, since no fork escapes that, then each process that is in none of them. A group is
   * signalled only while a child of ours is in it that has not been reaped: the number is then surely its own.
   */
  #send(members: readonly Member[], signal: NodeJS.Signals): void {
    const groups = new Set<number>()
    for (const { stat, isOwnChild } of members) {
      if (!isOwnChild || groups.has(stat.group)) continue
      if (!this.#signalGroup(stat.group, signal)) continue
      groups.add(stat.group)
      this.#askedGroups.add(stat.group)
    }
    for (const member of members) {
      if (!groups.has(member.stat.group)) this.#signalOne(member, signal)
    }
  }

  #signalGroup(group: number, signal: NodeJS.Signals): boolean {
    // Number 0 would be the keeper's own group, and 1 every process there is.
    if (group <= 1 || group === ownGroup) return false
    return signalByNumber(-group, signal, () => true) === undefined
  }

  #signalOne(member: Member, signal: NodeJS.Signals): string | undefined {
    const { pid } = member.stat
    if (pid <= 1 || pid === process.pid) return undefined
    if (member.isOwnChild) return signalByNumber(pid, signal, () => true)
    const isStill = (): boolean => this.#search.isStill(this.#scope, member)
    if (this.#libc === undefined) return signalByNumber(pid, signal, isStill)
    return this.#libc.signalConfirmed(pid, signal, isStill)
  }

  #note(stat: ProcessStat, signal: NodeJS.Signals): void {
    const { pid, image } = stat
    const key = keyOf(stat)
    if (this.#leaving?.has(key)) return
    const leader = this.#scope.leaders.get(pid)
    const command = this.#signalled.get(key)?.command ?? leader ?? this.#commandOf(stat)
    this.#signalled.set(key, { pid, command, ended: signal })
    // What the keeper has started was past its exec before anybody knew of it.
    if (leader === undefined) this.#asked.set(key, image)
  }

  /** Of a large tree the first command lines tell what it was; each takes time in which all of it lives. */
  #commandOf(stat: ProcessStat): string {
    return this.#signalled.size < mostAtFirst ? commandOf(stat) : nameOf(stat)
  }

  #nameSurvivors(): void {
    for (const member of this.#living()) {
      const { stat } = member
      const refused = this.#signalOne(member, 'SIGKILL')
      const why =
        refused === undefined
          ? `in state ${stat.state} ${proofMs} ms after SIGKILL`
          : `SIGKILL was refused: ${refused}`
      this.#signalled.set(keyOf(stat), { pid: stat.pid, command: commandOf(stat), ended: 'survived', why })
    }
  }
}

/**
 * Time that is given to processes. While the keeper is paused (a frozen container, a virtual machine that gets no processor),
 * they cannot be expected to run either, so that time is not counted.
 */
class Allowance {
  /** When it is over, by the clock of `performance.now()`, in ms. */
  until: number
  #lastAt = performance.now()
  #usedMs = processorMs()

  constructor(ms: number) {
    this.until = this.#lastAt + ms
  }

  /** Returns the time. A pause since the last call puts the end off; `waitMs` is how long the keeper was to wait in between. */
  now(waitMs = 0): number {
    const [now, usedMs] = [performance.now(), processorMs()]
    const gapMs = now - this.#lastAt - waitMs - (usedMs - this.#usedMs)
    if (gapMs > pausedMs) this.until += gapMs
    this.#lastAt = now
    this.#usedMs = usedMs
    return now
  }
}

/** The processor time that the keeper has used, in ms. */
function processorMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}

// T: by a signal. t: by a debugger (proc_pid_stat(5)).
function isStopped({ state }: ProcessStat): boolean {
  return state === 'T' || state === 't'
}

const ownGroup = statOf(process.pid)?.group

function keyOf(stat: ProcessStat): string {
  return `${stat.pid}:${stat.startTick}`
}
