/** The guarded workers that run here, with what they run: told by their keepers, else by marks in `/proc`. */

import {
  commandOf,
  describeProcess,
  type ProcessStat,
  type ScopeProcess,
  statOf
} from '../platform/current.js'
import type { Containment } from '../wire/messages.js'
import type { ScopeStatus } from '../wire/worker-status.js'
import { askKeeper, type KeeperAnswer } from './ask-keeper.js'
import { findWorker, numbersAsSeenBy } from './find-worker.js'
import { branchesOf } from './process-branches.js'
import { type Look, lookForMarks, type WorkerSigns } from './scan-for-marks.js'

/** A scope, as `subprocess-guard ps --json` shows it. */
export interface ShownScope {
  /** Its number; 0 for what belongs to no request. */
  readonly scope: number
  /** `unknown` when no keeper has told of it: then it has no route, age and deadline either. */
  readonly state: 'open' | 'closing' | 'unknown'
  /** As it was declared; null when there is none. */
  readonly route: string | null
  /** How long it has been open, in ms. */
  readonly openMs: number | null
  /** How long it is to its deadline, in ms, below 0 when that has passed; null without one. */
  readonly deadlineInMs: number | null
  /** Its processes that are alive; a parent comes before its children. */
  readonly processes: readonly ScopeProcess[]
}

/** A worker, as `subprocess-guard ps --json` shows it. */
export interface ShownWorker {
  /** Its process id here; where it is gone or elsewhere, the one that it has in its mark. */
  readonly worker: number
  /** `elsewhere`: in a PID namespace that is not seen from here, so that nobody knows whether it runs. */
  readonly state: 'running' | 'gone' | 'elsewhere'
  /** Its command line; null when it is not running here. */
  readonly command: string | null
  /** Its resident memory, in bytes; null when it is not running here. */
  readonly memoryBytes: number | null
  /** Process id of its keeper; null without one. */
  readonly keeper: number | null
  /** How its processes are found; null when its keeper has not told. */
  readonly containment: Containment | null
  /** Why there is less to see than there should be; null when there is not. */
  readonly note: string | null
  readonly scopes: readonly ShownScope[]
  /** What carries its mark and is of no open scope: started outside requests, released, or a survivor. */
  readonly unscoped: readonly ScopeProcess[]
}

/** All workers of whom this user can see a keeper or a subprocess: those that run first, by their numbers. */
export async function workersHere(): Promise<ShownWorker[]> {
  // Before any keeper is asked, so that what it tells is the later news.
  const look = lookForMarks()
  const shown = await Promise.all([...look.workers.values()].map((signs) => show(signs, look)))
  const rankOf = ({ state }: ShownWorker): number => (state === 'running' ? 0 : 1)
  return shown
    .filter((worker) => worker !== undefined)
    .sort((one, other) => rankOf(one) - rankOf(other) || one.worker - other.worker)
}

async function show(signs: WorkerSigns, look: Look): Promise<ShownWorker | undefined> {
  // More than one when a keeper was lost and has not ended yet, or has rights that its worker has given up. The youngest is the
  // worker's.
  const [keeper, ...others] = signs.keepers.sort((one, other) => other.startTick - one.startTick)
  const asked = Promise.all(others.map(({ pid }) => askKeeper(pid)))
  const answer = keeper === undefined ? undefined : await askKeeper(keeper.pid)
  const answers = (await asked).filter((other) => other.type === 'answered')
  const isKept = keeper !== undefined && isStill(keeper)
  const place = findWorker(signs.name, keeper, look)
  const isRunning = place.state === 'running' && isStill(place.stat)
  const facts = {
    worker: isRunning ? place.stat.pid : signs.name.pid,
    state: isRunning ? ('running' as const) : place.state === 'elsewhere' ? place.state : ('gone' as const),
    command: isRunning ? commandOf(place.stat) : null,
    memoryBytes: isRunning ? describeProcess(place.stat).memoryBytes : null,
    keeper: isKept ? keeper.pid : null
  }
  if (isKept && answer?.type === 'answered') {
    const { containment, scopes } = answer.status
    const told = joined(
      scopes,
      answers.flatMap(({ status }) => status.scopes)
    )
    return { ...facts, containment, note: null, ...toldBy(keeper, told, signs, look) }
  }
  const scopes = [...signs.marked].map(([scope, roots]) => unknownScope(scope, look.treesOf(roots)))
  const living = scopes.filter(({ processes }) => processes.length > 0)
  if (!isKept && living.length === 0) return undefined
  return { ...facts, containment: null, note: noteOn(facts, answer), scopes: living, unscoped: [] }
}

function toldBy(keeper: ProcessStat, told: readonly ScopeStatus[], { marked }: WorkerSigns, look: Look) {
  const carriers = [...marked.values()].flat()
  const ourNumberOf = numbersAsSeenBy(keeper, carriers, look)
  const listed = new Set<number>()
  const scopes = told.map(({ processes, scope, state, route, openMs, deadlineInMs }): ShownScope => {
    const numbers = processes.map(({ pid }) => ourNumberOf(pid)).filter((pid) => pid !== undefined)
    for (const pid of numbers) listed.add(pid)
    const stats = numbers.map(statOf).filter((stat) => stat?.alive === true) as ProcessStat[]
    return {
      scope,
      state,
      route: route ?? null,
      openMs,
      deadlineInMs: deadlineInMs ?? null,
      processes: treeOrder(stats.map((stat) => describeProcess(stat)))
    }
  })
  const others = carriers.filter((stat) => !listed.has(stat.pid) && isStill(stat))
  return { scopes, unscoped: treeOrder(others.map((stat) => describeProcess(stat))) }
}

/** More than one keeper may have something of a scope. */
function joined(told: readonly ScopeStatus[], others: readonly ScopeStatus[]): ScopeStatus[] {
  const numbers = new Set(told.map(({ scope }) => scope))
  const together = told.map((status) => {
    const parts = [status, ...others.filter(({ scope }) => scope === status.scope)]
    const openMs = Math.max(...parts.map((part) => part.openMs))
    return { ...status, openMs, processes: parts.flatMap(({ processes }) => processes) }
  })
  return [...together, ...others.filter(({ scope }) => !numbers.has(scope))]
}

function unknownScope(scope: number, stats: readonly ProcessStat[]): ShownScope {
  const processes = treeOrder(stats.filter(isStill).map((stat) => describeProcess(stat)))
  return { scope, state: 'unknown', route: null, openMs: null, deadlineInMs: null, processes }
}

function noteOn(
  { state, keeper }: Pick<ShownWorker, 'state' | 'keeper'>,
  answer: KeeperAnswer | undefined
): string | null {
  const unknown = 'routes and deadlines are not known, and processes are those that carry its mark'
  if (keeper !== null && answer?.type === 'silent') return `its keeper ${answer.why}: ${unknown}`
  return state === 'gone' ? null : `it has no keeper that can be seen: ${unknown}`
}

/** Whether it is the process that was looked at, and alive. */
function isStill({ pid, startTick }: ProcessStat): boolean {
  const now = statOf(pid)
  return now?.alive === true && now.startTick === startTick
}

function treeOrder(processes: readonly ScopeProcess[]): ScopeProcess[] {
  return branchesOf(processes).map(({ process }) => process)
}
