/** The end of a scope: ask, wait, kill, prove. The one place that signals processes. */

import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises'
import {
  argumentTextOf,
  commandIn,
  commandOf,
  isOutOfDescriptors,
  type Libc,
  nameOf,
  type ProcessStat,
  signalByNumber,
  statOf
} from '../platform/current.js'
import type { EndedProcess } from '../wire/messages.js'
import type { Member, Scanner } from './census.js'
import { DelayedSignals } from './delayed-signals.js'
import { pidExists, processKey } from './process-identity.js'
import type { ScopeEnding, ScopeRecord } from './scope-record.js'

// How long a process may take to die of SIGKILL before it is called a survivor: one in uninterruptible sleep
// never does, one with many gigabytes needs a while to give them back.
const proofMs = 5_000
const longestPauseMs = 50
// A look at a thousand processes takes as long as their end. So a large tree is signalled by its groups when
// so many of it are known, and the rest of it is looked at when those have had this time to go.
const mostAtFirst = 128
const restAfterMs = 25
// What one process takes to die, in ms. The keeper leaves the cores to a tree for so long: to collect each at
// once slows the rest.
const deathMs = 0.06
// If the keeper neither waited nor worked for longer than this, in ms, it was paused, and its processes may
// have been, too.
const pausedMs = 100
// When to look, after the first signal, for those that cannot have heard it; then after twice that, and so
// on.
const firstPauseMs = 100

/** What the log says of a scope whose processes could not be looked at (`whyUnseen`). */
export const scanFailedMessage = 'the processes of a scope could not be looked at, and may be alive'

/**
 * Ends every process of a scope that the search finds, and resolves when none is left, or when what is left
 * has withstood SIGKILL for 5 s. What it says of a process that could not be ended is in the report. `how`
 * may differ from the scope's own way. What could not be looked at is a survivor, too, and `scope.whyUnseen`
 * says why. It never rejects.
 */
export async function terminate(
  search: Scanner,
  scope: ScopeRecord,
  libc: Libc | undefined,
  how: ScopeEnding = scope
): Promise<EndedProcess[]> {
  const ending = new Ending(search, scope, libc, how.killSignal)
  // Looks are shared within a turn of the event loop. One from before this order may lack a process that was
  // born since.
  await turn()
  try {
    await end(ending, how)
  } catch (error) {
    ending.nameUnseen(error as Error)
  }
  return ending.report()
}

/**
 * Whether two looks in a row find nothing, a turn of the loop apart, since one may miss a process that is
 * born during it. A look that could not be taken finds nothing out.
 */
export async function isConfirmedEmpty(search: Scanner, scope: ScopeRecord): Promise<boolean> {
  try {
    await search.prepareScan?.()
    if (!search.isEmpty(scope)) return false
    await turn()
    await search.prepareScan?.()
    return search.isEmpty(scope)
  } catch (error) {
    if (!isOutOfDescriptors(error)) throw error
    return false
  }
}

async function end(ending: Ending, how: ScopeEnding): Promise<void> {
  if (await ending.isOver()) return
  if (how.killSignal !== 'SIGKILL') {
    ending.askToEnd()
    if (await ending.isOverWithin(how.graceMs)) return
  }
  await ending.killUntilOver()
}

class Ending {
  readonly #search: Scanner
  readonly #scope: ScopeRecord
  readonly #libc: Libc | undefined
  readonly #killSignal: NodeJS.Signals
  readonly #heldBack: DelayedSignals
  /** Every process that was signalled, by pid and start time. */
  readonly #signalled = new Map<string, EndedProcess>()
  /** What each of them was running when it was first asked to end. */
  readonly #asked = new Map<string, string>()
  /** The groups that were signalled as a whole. */
  readonly #askedGroups = new Set<number>()
  /** Those that were in their exit before the first signal: they end by themselves, and are waited for. */
  #leaving: ReadonlySet<string> | undefined
  /** When the last signals were sent, by the clock of `performance.now()`. */
  #signalledAt = 0
  /** Whether the last look has left some of a large tree out. */
  #isPartial = false
  /** Why the last look could not be taken, where that is so. */
  #blindness: Error | undefined

  constructor(search: Scanner, scope: ScopeRecord, libc: Libc | undefined, killSignal: NodeJS.Signals) {
    this.#search = search
    this.#scope = scope
    this.#libc = libc
    this.#killSignal = killSignal
    this.#heldBack = new DelayedSignals(scope, killSignal)
  }

  /**
   * The first signal to every process once, but for those that are held back, and SIGCONT to who is stopped:
   * it cannot die of SIGTERM.
   */
  askToEnd(): void {
    this.#attempt(() => {
      const living = this.#living(mostAtFirst)
      this.#ask(this.#heldBack.holdBack(living), living)
    })
  }

  /** Waits for the tree to go of itself, and asks again where the first signal cannot have been heard. */
  async isOverWithin(ms: number): Promise<boolean> {
    const allowance = new Allowance(ms)
    this.#search.delayReaping?.(
      Math.min(this.#signalledAt + this.#signalled.size * deathMs - performance.now(), ms)
    )
    if (this.#isPartial) {
      await pause(Math.min(restAfterMs, ms))
      this.#attempt(() => this.#askRest())
    }
    let pauseMs = firstPauseMs
    let lookAt = performance.now() + pauseMs
    let nextTurnAt = 0
    for (;;) {
      // Before a look, which takes time where many have lost their parent.
      this.#attempt(() => {
        if (this.#askGroupsOfGone()) nextTurnAt = performance.now() + restAfterMs
      })
      if (await this.isOver()) return true
      const now = allowance.now()
      if (now >= allowance.until) return false
      const halfAt = allowance.until - ms / 2
      if (this.#heldBack.any && (now >= halfAt || now >= nextTurnAt)) {
        this.#attempt(() => this.#askHeldBack(now >= halfAt))
        // No more than half of the time is for looks.
        nextTurnAt = 2 * performance.now() - now
      }
      if (now >= lookAt) {
        this.#attempt(() => this.#askAgain())
        pauseMs *= 2
        lookAt = now + pauseMs
      }
      const nextAt = this.#heldBack.any ? Math.min(lookAt, now < nextTurnAt ? nextTurnAt : halfAt) : lookAt
      await this.#changeWithin(Math.max(Math.min(allowance.until, nextAt) - now, 0), allowance)
    }
  }

  /**
   * Asks members, but for those that the end of their command alone has asked. The others that live are not
   * to hear it.
   */
  #ask(members: readonly Member[], living: readonly Member[]): void {
    const unasked = members.filter(({ stat }) => !this.#scope.firstSignalled.has(processKey(stat)))
    const texts = this.#argumentsOfAll(members)
    for (const { stat } of unasked) this.#scope.firstSignalled.add(processKey(stat))
    const asked = new Set(unasked)
    const others = new Set(living.flatMap((member) => (asked.has(member) ? [] : [member.stat.group])))
    this.#send(unasked, this.#killSignal, others)
    const stopped = unasked.filter(({ stat }) => isStopped(stat))
    this.#send(stopped, 'SIGCONT', others)
    this.#noteAll(members, this.#killSignal, texts)
  }

  /** Asks groups as a whole that were held back and are no longer. Returns whether there are any. */
  #askGroupsOfGone(): boolean {
    if (!this.#heldBack.any) return false
    const groups = this.#heldBack.takeGroupsOfEndedCommands()
    for (const [group, held] of groups) {
      // One that is left out here, since its group is ours, is asked again later.
      if (!this.#signalGroup(group, this.#killSignal)) continue
      this.#askedGroups.add(group)
      this.#noteHeard(held)
    }
    return groups.size > 0
  }

  /** Those that were held back and are no longer. */
  #askHeldBack(isTimeUp: boolean): void {
    const living = this.#living()
    const taken = this.#heldBack.takeDue(living, isTimeUp)
    this.#noteHeard(living.map(({ stat }) => stat))
    this.#ask(taken, living)
  }

  /** Whoever is in a group that was asked as a whole has heard it. */
  #noteHeard(stats: readonly ProcessStat[]): void {
    for (const stat of stats) {
      if (!this.#askedGroups.has(stat.group) || this.#signalled.has(processKey(stat))) continue
      this.#note(stat, this.#killSignal)
      this.#scope.firstSignalled.add(processKey(stat))
    }
  }

  /** Those of a large tree that were not known yet. */
  #askRest(): void {
    const living = this.#living()
    this.#noteHeard(living.map(({ stat }) => stat))
    this.#ask(
      this.#heldBack.holdBack(living).filter(({ stat }) => !this.#signalled.has(processKey(stat))),
      living
    )
  }

  /**
   * Asks who has not heard it. That is, first, a child that was born later and whose parent is gone: with a
   * parent, it was started by a handler of the first signal, and has the grace to finish. And second, a
   * process that was just between fork and exec: the handler it had from its parent took the signal, and the
   * program that it became knows nothing of it.
   */
  #askAgain(): void {
    const living = this.#living()
    const parents = new Set(living.map(({ stat }) => stat.pid))
    for (const member of living) {
      const { stat } = member
      // Stopped since: what it was sent waits for it.
      if (isStopped(stat)) this.#signalOne(member, 'SIGCONT')
      if (this.#heldBack.has(stat)) continue
      const wasAsked = this.#signalled.has(processKey(stat))
      if (wasAsked ? this.#hasHeard(stat) : parents.has(stat.parent)) continue
      const wasAskedByOther = !wasAsked && this.#scope.firstSignalled.has(processKey(stat))
      // What it has started is orphaned with it. Parents come before their children.
      parents.delete(stat.pid)
      this.#note(stat, this.#killSignal)
      if (wasAskedByOther) continue
      this.#scope.firstSignalled.add(processKey(stat))
      this.#signalOne(member, this.#killSignal)
    }
  }

  #hasHeard(stat: ProcessStat): boolean {
    const key = processKey(stat)
    return !this.#asked.has(key) || this.#asked.get(key) === stat.image
  }

  /**
   * SIGKILL to all that is left, again and again, since what forks all the time escapes a single one. A look
   * at a large tree takes the time in which it would die, so no more than half of the time is for looks.
   */
  async killUntilOver(): Promise<void> {
    const allowance = new Allowance(proofMs)
    let most = mostAtFirst
    let pauseMs = 1
    let lookAt = 0
    while (!(await this.isOver())) {
      const now = allowance.now()
      if (now > allowance.until) {
        this.#attempt(() => this.#nameSurvivors())
        if (this.#blindness !== undefined) this.nameUnseen(this.#blindness)
        return
      }
      if (now >= lookAt) {
        this.#attempt(() => this.#signal(this.#living(most), 'SIGKILL'))
        const doneAt = performance.now()
        lookAt = doneAt + (this.#isPartial ? restAfterMs : Math.max(pauseMs, doneAt - now))
        pauseMs = Math.min(pauseMs * 2, longestPauseMs)
        most = Number.POSITIVE_INFINITY
      }
      await this.#changeWithin(Math.max(lookAt - performance.now(), 0), allowance)
    }
  }

  async #changeWithin(ms: number, allowance: Allowance): Promise<void> {
    await this.#search.waitForChange(this.#scope, ms)
    allowance.now(ms)
  }

  /** Where that could not be told, the last attempt says why. */
  isOver(): Promise<boolean> {
    return isConfirmedEmpty(this.#search, this.#scope).catch(() => false)
  }

  report(): EndedProcess[] {
    for (const key of this.#signalled.keys()) this.#scope.firstSignalled.delete(key)
    return [...this.#signalled.values()]
  }

  /** Those that are alive, or so many of them. */
  #living(most = Number.POSITIVE_INFINITY): Member[] {
    const members = this.#search.members(this.#scope, most)
    // A search that finds all at once does not stop there.
    this.#isPartial = members.length === most
    return members.filter((member) => member.stat.alive)
  }

  /** Does what needs a look. What could not be done is left to the next attempt. */
  #attempt(act: () => void): void {
    this.#blindness = undefined
    try {
      act()
    } catch (error) {
      this.#blindness = error as Error
    }
  }

  #signal(members: readonly Member[], signal: NodeJS.Signals): void {
    const texts = this.#argumentsOfAll(members)
    this.#send(members, signal)
    this.#noteAll(members, signal, texts)
  }

  /** Read while they live. What is made of it can wait until they have their signal. */
  #argumentsOfAll(members: readonly Member[]): (string | undefined)[] {
    return members.map(({ stat }, index) => this.#argumentsOf(stat, index))
  }

  #noteAll(members: readonly Member[], signal: NodeJS.Signals, texts: readonly (string | undefined)[]): void {
    this.#leaving ??= new Set(members.flatMap(({ stat }) => (stat.ending ? [processKey(stat)] : [])))
    for (const [index, { stat }] of members.entries()) this.#note(stat, signal, texts[index])
  }

  /**
   * Signals groups first, since no fork escapes that, then each process that is in none of them. A group is
   * signalled only while a child of ours is in it that has not been reaped: the number is then surely its
   * own. Groups with a process that is not to hear it are left out.
   */
  #send(members: readonly Member[], signal: NodeJS.Signals, others: ReadonlySet<number> = noGroups): void {
    this.#signalledAt = performance.now()
    const groups = new Set<number>()
    for (const { stat, isOwnChild } of members) {
      if (!isOwnChild || groups.has(stat.group) || others.has(stat.group)) continue
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
    const isStill = (): boolean => {
      try {
        return this.#search.confirmIdentity(this.#scope, member)
      } catch (error) {
        if (!isOutOfDescriptors(error)) throw error
        // The others are to get their signals all the same.
        return false
      }
    }
    if (this.#libc === undefined) return signalByNumber(pid, signal, isStill)
    return this.#libc.signalConfirmed(pid, signal, isStill)
  }

  #note(stat: ProcessStat, signal: NodeJS.Signals, text = this.#argumentsOf(stat)): void {
    const { pid, image } = stat
    const key = processKey(stat)
    if (this.#leaving?.has(key)) return
    const leader = this.#scope.leaders.get(pid)
    const command = this.#signalled.get(key)?.command ?? leader ?? commandIn(text) ?? nameOf(stat)
    this.#signalled.set(key, { pid, command, ended: signal })
    // What the keeper has started was past its exec before anybody knew of it.
    if (leader === undefined) this.#asked.set(key, image)
  }

  /**
   * Of a large tree the first command lines tell what it was; each takes time in which all of it lives.
   * `more` have been asked for theirs, and are not noted yet.
   */
  #argumentsOf(stat: ProcessStat, more = 0): string | undefined {
    if (this.#scope.leaders.has(stat.pid) || this.#signalled.has(processKey(stat))) return undefined
    return this.#signalled.size + more < mostAtFirst ? argumentTextOf(stat.pid) : undefined
  }

  #nameSurvivors(): void {
    for (const member of this.#living()) {
      const { stat } = member
      const refused = this.#signalOne(member, 'SIGKILL')
      const why =
        refused === undefined
          ? `in state ${stat.state} ${proofMs} ms after SIGKILL`
          : `SIGKILL was refused: ${refused}`
      this.#signalled.set(processKey(stat), {
        pid: stat.pid,
        command: commandOf(stat),
        ended: 'survived',
        why
      })
    }
  }

  /** Names all that is known of the scope and may be alive, since no look tells. */
  nameUnseen({ message, stack = message }: Error): void {
    const { seen, leaders, orphans } = this.#scope
    this.#scope.scanFailure = stack
    const pids = new Set([...leaders.keys(), ...orphans, ...seen.keys()])
    for (const pid of pids) {
      const startTick = seen.get(pid)
      if (!mayLive(pid, startTick)) continue
      const key = processKey({ pid, startTick: startTick ?? 0 })
      const known = leaders.get(pid) ?? this.#signalled.get(key)?.command
      const command = known ?? `[started at tick ${startTick ?? 'unknown'}]`
      const why = `it could not be looked at: ${message}`
      this.#signalled.set(key, { pid, command, ended: 'survived', why })
    }
  }
}

/**
 * Time that is given to processes. While the keeper is paused (a frozen container, a virtual machine that
 * gets no processor), they cannot be expected to run either, so that time is not counted.
 */
class Allowance {
  /** When it is over, by the clock of `performance.now()`, in ms. */
  until: number
  #lastAt = performance.now()
  #usedMs = processorMs()

  constructor(ms: number) {
    this.until = this.#lastAt + ms
  }

  /**
   * Returns the time. A pause since the last call puts the end off; `waitMs` is how long the keeper was to
   * wait in between.
   */
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

/** Whether that process may be alive, as far as can be told. */
function mayLive(pid: number, startTick: number | undefined): boolean {
  try {
    const stat = statOf(pid)
    return stat?.alive === true && stat.startTick === (startTick ?? stat.startTick)
  } catch {
    return pidExists(pid)
  }
}

const noGroups: ReadonlySet<number> = new Set()

// T: by a signal. t: by a debugger (proc_pid_stat(5)).
function isStopped({ state }: ProcessStat): boolean {
  return state === 'T' || state === 't'
}

const ownGroup = statOf(process.pid)?.group
