/** Which processes are the soak's, wherever they have gone: by what they inherited, hold open, or announced. */

import { setTimeout as pause } from 'node:timers/promises'
import { environmentOf } from '../test/harness/proc.js'
import type { Witness } from '../test/harness/witness.js'
import { ageMsOf, commandOf, descriptorsOf, pids, type Stat, statOf } from './proc.js'
import { markName, requestName } from './settings.js'

/** A process of the soak, for a person to read. */
export interface Culprit {
  readonly pid: number
  readonly command: string
  readonly ageMs: number
  /** By what it is known to be the soak's. */
  readonly mark: string
}

interface Known {
  readonly pid: number
  readonly startTick: number
  readonly command: string
  /** In which it was started; undefined for workers, keepers, and what emptied its environment. */
  readonly request: string | undefined
  /** Whether it is ours, and not another's. */
  readonly isOurs: boolean
  readonly looksDue: number
}

// No request, with the end of its processes, takes nearly as long. What is older was forgotten.
const overdueMs = 30_000
// A process may be seen between fork and exec, with the environment of whoever starts it.
const firstLooks = 4
const forgetMs = 60_000
const mostOverdueKept = 20
// An ended process takes a moment to go.
const endPauseMs = 20
const mostEndRounds = 100

export class Census {
  readonly #mark: string
  readonly #witness: Witness
  readonly #witnessPath: string
  /** What was alive at the last look, by pid. */
  #known = new Map<number, Known>()
  readonly #seen = new Set<string>()
  /** Sessions of ours, which outlive their first process. */
  readonly #sessions = new Set<number>()
  readonly #ownSession = statOf(process.pid)?.session
  /** Of all processes: none that is older is ours. */
  readonly #bornFrom = statOf(process.pid)?.startTick ?? 0
  #announcedRead = 0
  readonly #announced = new Set<string>()
  readonly #endedAt = new Map<number, number>()
  /** How many programs were alive at the last look. Workers and keepers are none. */
  programCount = 0
  mostPrograms = 0
  /** The longest that a process was seen alive after the end of its request, or of its worker, in ms. */
  longestAfterMs = 0
  longestAfterCommand = ''
  /** What was alive far too long. */
  readonly overdue: Culprit[] = []

  constructor(mark: string, witness: Witness) {
    this.#mark = `${markName}=${mark}`
    this.#witness = witness
    this.#witnessPath = witness.env.WITNESS as string
  }

  /** How many processes were seen in all. */
  get seenCount(): number {
    return new Set([...this.#seen, ...this.#announced]).size
  }

  /** The client has seen the end of a request. */
  requestEnded(request: number): void {
    this.#endedAt.set(request, performance.now())
  }

  /** Looks at every process of the machine, and returns what is ours and alive. */
  look(): Stat[] {
    this.#readAnnounced()
    const now = performance.now()
    this.#forgetRequests(now)
    const known = new Map<number, Known>()
    const ours: Stat[] = []
    let programCount = 0
    for (const stat of this.#youngOnes()) {
      if (stat.isZombie) continue
      const entry = this.#recognise(stat)
      known.set(stat.pid, entry)
      if (!entry.isOurs) continue
      ours.push(stat)
      this.#seen.add(keyOf(stat))
      if (stat.session !== this.#ownSession) this.#sessions.add(stat.session)
      if (!this.#isProgram(entry)) continue
      programCount++
      this.#judge(stat, entry, now)
    }
    this.#known = known
    this.programCount = programCount
    this.mostPrograms = Math.max(this.mostPrograms, programCount)
    return ours
  }

  /** The programs that are alive: what is ours and neither worker nor keeper. */
  programs(): Culprit[] {
    const alive = this.look()
    return alive.filter((stat) => this.#isProgram(this.#recognise(stat))).map((stat) => this.#culpritOf(stat))
  }

  /** Everything of ours that is alive, and whatever holds the witness's pipe. */
  alive(): Culprit[] {
    const alive = new Map(this.look().map((stat) => [stat.pid, this.#culpritOf(stat)]))
    for (const stat of this.#youngOnes()) {
      if (alive.has(stat.pid) || !this.#holdsWitness(stat)) continue
      alive.set(stat.pid, this.#culpritOf(stat, 'holds the pipe of the witness'))
    }
    return [...alive.values()]
  }

  /** What has ended and was not collected by its parent. */
  zombies(): Culprit[] {
    const zombies = [...this.#youngOnes()].filter((stat) => stat.isZombie && this.#wasOurs(stat))
    return zombies.map((stat) => this.#culpritOf(stat, `zombie of ${stat.parent}`))
  }

  /** Ends what is alive, by pid, until nothing is. */
  async endAll(): Promise<void> {
    for (let round = 0; round < mostEndRounds; round++) {
      const alive = this.alive()
      if (alive.length === 0) return
      for (const { pid } of alive) kill(pid)
      await pause(endPauseMs)
    }
  }

  *#youngOnes(): Generator<Stat> {
    for (const pid of pids()) {
      const stat = pid === process.pid ? undefined : statOf(pid)
      if (stat !== undefined && stat.startTick >= this.#bornFrom) yield stat
    }
  }

  #recognise(stat: Stat): Known {
    const before = this.#known.get(stat.pid)
    const isSame = before?.startTick === stat.startTick
    if (isSame && before.looksDue === 0) return before
    const environment = environmentOf(stat.pid)
    const prefix = `${requestName}=`
    const request = environment.find((entry) => entry.startsWith(prefix))?.slice(prefix.length)
    const key = keyOf(stat)
    return {
      pid: stat.pid,
      startTick: stat.startTick,
      command: commandOf(stat),
      request,
      isOurs: environment.includes(this.#mark) || this.#announced.has(key) || this.#seen.has(key),
      looksDue: (isSame ? before.looksDue : firstLooks) - 1
    }
  }

  #isProgram({ request, pid, startTick }: Known): boolean {
    return request !== undefined || this.#announced.has(`${pid} ${startTick}`)
  }

  #judge(stat: Stat, { request, command }: Known, now: number): void {
    const endedAt = request === undefined ? undefined : this.#endedAt.get(Number.parseInt(request, 10))
    const afterMs = endedAt === undefined ? 0 : now - endedAt
    if (afterMs > this.longestAfterMs) {
      this.longestAfterMs = afterMs
      this.longestAfterCommand = `${command} (${request})`
    }
    if (ageMsOf(stat) < overdueMs || this.overdue.length >= mostOverdueKept) return
    if (!this.overdue.some(({ pid }) => pid === stat.pid)) this.overdue.push(this.#culpritOf(stat))
  }

  #forgetRequests(now: number): void {
    for (const [request, endedAt] of this.#endedAt) {
      if (now - endedAt < forgetMs) break
      this.#endedAt.delete(request)
    }
  }

  /** Whether a zombie, whose environment nobody can read any more, has been ours. */
  #wasOurs(stat: Stat): boolean {
    const key = keyOf(stat)
    if (this.#seen.has(key) || this.#announced.has(key)) return true
    return stat.parent === process.pid || this.#sessions.has(stat.session)
  }

  #holdsWitness({ pid }: Stat): boolean {
    return [...(descriptorsOf(pid)?.values() ?? [])].includes(this.#witnessPath)
  }

  #culpritOf(stat: Stat, mark?: string): Culprit {
    const { request } = this.#recognise(stat)
    const known = request === undefined ? 'of the soak' : `${requestName}=${request}`
    return { pid: stat.pid, command: commandOf(stat), ageMs: ageMsOf(stat), mark: mark ?? known }
  }

  #readAnnounced(): void {
    const { announced } = this.#witness
    for (; this.#announcedRead < announced.length; this.#announcedRead++) {
      const { pid, startTick } = announced[this.#announcedRead] as (typeof announced)[number]
      if (startTick !== undefined) this.#announced.add(`${pid} ${startTick}`)
    }
  }
}

function keyOf({ pid, startTick }: Stat): string {
  return `${pid} ${startTick}`
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // ESRCH: it has just ended. Whatever else is wrong, it is found again.
  }
}
