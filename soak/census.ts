/** Finds the processes of the soak wherever they are: by what they inherited, announced or hold open. */

import { setTimeout as pause } from 'node:timers/promises'
import { environmentOf } from '../test/harness/proc.js'
import type { Witness } from '../test/harness/witness.js'
import { ageMsOf, commandOf, descriptorsOf, pids, type Stat, statOf } from './proc.js'
import { markName, requestName } from './settings.js'

/** A process of the soak, for the report. */
export interface Culprit {
  readonly pid: number
  readonly command: string
  readonly ageMs: number
  /** How it was recognised as a process of the soak. */
  readonly mark: string
}

interface Known {
  readonly pid: number
  readonly startTick: number
  readonly command: string
  /** The request that started it; undefined for workers, keepers and cleared environments. */
  readonly request: string | undefined
  /** Whether it is a process of the soak. */
  readonly isOurs: boolean
  /** How many more times its environment is read. */
  readonly scansDue: number
}

// No request takes nearly as long, including the end of its processes. An older process was forgotten.
const overdueMs = 30_000
// Between fork and exec, a process has the environment of the process that starts it: read it more than once.
const firstScans = 4
const forgetMs = 60_000
const mostOverdueKept = 20
// A process takes a moment to end after SIGKILL.
const endPauseMs = 20
const mostEndRounds = 100

export class Census {
  readonly #mark: string
  readonly #witness: Witness
  readonly #witnessPath: string
  /** The processes that were alive at the last scan, by pid. */
  #known = new Map<number, Known>()
  readonly #seen = new Set<string>()
  /** The sessions of the soak. They outlive their leaders. */
  readonly #sessions = new Set<number>()
  readonly #ownSession = statOf(process.pid)?.session
  /** No process that started earlier belongs to the soak. */
  readonly #startTick = statOf(process.pid)?.startTick ?? 0
  #announcedRead = 0
  readonly #announced = new Set<string>()
  readonly #endedAt = new Map<number, number>()
  /** How many programs were alive at the last scan, without workers and keepers. */
  programCount = 0
  mostPrograms = 0
  /** The longest time that a process was alive after the end of its request or worker, in ms. */
  longestAfterMs = 0
  longestAfterCommand = ''
  /** Processes that were alive far too long. */
  readonly overdue: Culprit[] = []

  constructor(mark: string, witness: Witness) {
    this.#mark = `${markName}=${mark}`
    this.#witness = witness
    this.#witnessPath = witness.env.WITNESS as string
  }

  /** The number of different processes so far. */
  get seenCount(): number {
    return new Set([...this.#seen, ...this.#announced]).size
  }

  /** The client saw the end of this request. */
  requestEnded(request: number): void {
    this.#endedAt.set(request, performance.now())
  }

  /** Scans every process of the machine and returns the living processes of the soak. */
  scan(): Stat[] {
    this.#readAnnounced()
    const now = performance.now()
    this.#forgetRequests(now)
    const known = new Map<number, Known>()
    const ours: Stat[] = []
    let programCount = 0
    for (const stat of this.#candidates()) {
      if (stat.isZombie) continue
      const entry = this.#recognise(stat)
      known.set(stat.pid, entry)
      if (!entry.isOurs) continue
      ours.push(stat)
      this.#seen.add(keyOf(stat))
      if (stat.session !== this.#ownSession) this.#sessions.add(stat.session)
      if (!this.#isProgram(entry)) continue
      programCount++
      this.#checkAge(stat, entry, now)
    }
    this.#known = known
    this.programCount = programCount
    this.mostPrograms = Math.max(this.mostPrograms, programCount)
    return ours
  }

  /** The living programs: processes of the soak other than workers and keepers. */
  programs(): Culprit[] {
    const alive = this.scan()
    return alive.filter((stat) => this.#isProgram(this.#recognise(stat))).map((stat) => this.#culpritOf(stat))
  }

  /** The living processes of the soak, including those that only hold the witness's pipe open. */
  alive(): Culprit[] {
    const alive = new Map(this.scan().map((stat) => [stat.pid, this.#culpritOf(stat)]))
    for (const stat of this.#candidates()) {
      if (alive.has(stat.pid) || !this.#holdsWitness(stat)) continue
      alive.set(stat.pid, this.#culpritOf(stat, 'holds the pipe of the witness'))
    }
    return [...alive.values()]
  }

  /** The processes that have ended and were not reaped by their parent. */
  zombies(): Culprit[] {
    const zombies = [...this.#candidates()].filter((stat) => stat.isZombie && this.#wasOurs(stat))
    return zombies.map((stat) => this.#culpritOf(stat, `zombie of ${stat.parent}`))
  }

  /** Sends SIGKILL to the living processes by pid, until there is none. */
  async endAll(): Promise<void> {
    for (let round = 0; round < mostEndRounds; round++) {
      const alive = this.alive()
      if (alive.length === 0) return
      for (const { pid } of alive) kill(pid)
      await pause(endPauseMs)
    }
  }

  *#candidates(): Generator<Stat> {
    for (const pid of pids()) {
      const stat = pid === process.pid ? undefined : statOf(pid)
      if (stat !== undefined && stat.startTick >= this.#startTick) yield stat
    }
  }

  #recognise(stat: Stat): Known {
    const before = this.#known.get(stat.pid)
    const isSame = before?.startTick === stat.startTick
    if (isSame && before.scansDue === 0) return before
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
      scansDue: (isSame ? before.scansDue : firstScans) - 1
    }
  }

  #isProgram({ request, pid, startTick }: Known): boolean {
    return request !== undefined || this.#announced.has(`${pid} ${startTick}`)
  }

  #checkAge(stat: Stat, { request, command }: Known, now: number): void {
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

  /** Whether a zombie was a process of the soak: its environment cannot be read any more. */
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
    // ESRCH: it has just ended. After any other error, the next scan finds it again.
  }
}
