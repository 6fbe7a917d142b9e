/** Lists guarded workers with their processes: asks their keepers, or else reads the marks of processes. */

import { type ProcessStat, platform, type ScopeProcess } from '../platform/current.js'
import { sumOfUsages } from '../wire/usage.js'
import type { ScopeStatus } from '../wire/worker-status.js'
import { askKeeper, type KeeperAnswer } from './ask-keeper.js'
import { findWorker } from './locate-worker.js'
import { branchesOf } from './process-branches.js'
import { type MachineSnapshot, type MarkedWorker, scanForWorkers } from './scan-for-workers.js'
import type { ShownScope, ShownWorker } from './shown-worker.js'
import { pidTranslator } from './translate-pids.js'

/** All workers whose keeper or subprocesses this user can see: running workers first, in order of pid. */
export async function listWorkers(): Promise<ShownWorker[]> {
  // Scan before asking any keeper, so that the answers are the newer information.
  const snapshot = scanForWorkers()
  const shown = await Promise.all([...snapshot.workers.values()].map((worker) => show(worker, snapshot)))
  const rankOf = ({ state }: ShownWorker): number => (state === 'running' ? 0 : 1)
  return shown
    .filter((worker) => worker !== undefined)
    .sort((one, other) => rankOf(one) - rankOf(other) || one.worker - other.worker)
}

async function show(worker: MarkedWorker, snapshot: MachineSnapshot): Promise<ShownWorker | undefined> {
  // There are several when a lost keeper has not ended yet, or when a keeper has rights that its worker has
  // given up. The youngest is the current one.
  const [keeper, ...others] = worker.keepers.sort((one, other) => other.startTick - one.startTick)
  const asked = Promise.all(others.map(({ pid }) => askKeeper(pid)))
  const answer = keeper === undefined ? undefined : await askKeeper(keeper.pid)
  const otherAnswers = (await asked).filter((other) => other.type === 'answered')
  const isKept = keeper !== undefined && isAlive(keeper)
  const location = findWorker(worker.name, keeper, snapshot)
  const isRunning = location.state === 'running' && isAlive(location.stat)
  const facts = {
    worker: isRunning ? location.stat.pid : worker.name.pid,
    state: isRunning
      ? ('running' as const)
      : location.state === 'elsewhere'
        ? location.state
        : ('gone' as const),
    command: isRunning ? platform.commandOf(location.stat) : null,
    ...(isRunning ? ownUsage(location.stat) : { memoryBytes: null, cpuMs: null }),
    keeper: isKept ? keeper.pid : null
  }
  if (isKept && answer?.type === 'answered') {
    const { containment, scopes } = answer.status
    const merged = mergeScopes(
      scopes,
      otherAnswers.flatMap(({ status }) => status.scopes)
    )
    return { ...facts, containment, note: null, ...showReported(keeper, merged, worker, snapshot) }
  }
  const scopes = [...worker.marked].map(([scope, roots]) => unknownScope(scope, snapshot.treesOf(roots)))
  const inUse = scopes.filter(({ processes }) => processes.length > 0)
  if (!isKept && inUse.length === 0) return undefined
  return { ...facts, containment: null, note: noteOn(facts, answer), scopes: inUse, unscoped: [] }
}

/** The scopes that keepers have reported, and the marked processes that are in none of them. */
function showReported(
  keeper: ProcessStat,
  reported: readonly ScopeStatus[],
  { marked }: MarkedWorker,
  snapshot: MachineSnapshot
) {
  const markedProcesses = [...marked.values()].flat()
  const pidHere = pidTranslator(keeper, markedProcesses, snapshot)
  const listed = new Set<number>()
  const scopes = reported.map(
    ({ processes, usage, scope, state, route, openMs, deadlineInMs }): ShownScope => {
      const pids = processes.map(({ pid }) => pidHere(pid)).filter((pid) => pid !== undefined)
      for (const pid of pids) listed.add(pid)
      const stats = pids.map(platform.statOf).filter((stat) => stat?.alive === true) as ProcessStat[]
      return {
        scope,
        state,
        route: route ?? null,
        openMs,
        deadlineInMs: deadlineInMs ?? null,
        // A keeper of an earlier version does not tell.
        usage: usage ?? null,
        processes: inTreeOrder(stats.map((stat) => platform.describeProcess(stat)))
      }
    }
  )
  const others = markedProcesses.filter((stat) => !listed.has(stat.pid) && isAlive(stat))
  return { scopes, unscoped: inTreeOrder(others.map((stat) => platform.describeProcess(stat))) }
}

/** Merges the scopes reported by several keepers of a worker: each may have some processes of a scope. */
function mergeScopes(scopes: readonly ScopeStatus[], others: readonly ScopeStatus[]): ScopeStatus[] {
  const numbers = new Set(scopes.map(({ scope }) => scope))
  const merged = scopes.map((status) => {
    const parts = [status, ...others.filter(({ scope }) => scope === status.scope)]
    const openMs = Math.max(...parts.map((part) => part.openMs))
    const usage = sumOfUsages(parts.flatMap((part) => part.usage ?? []))
    return { ...status, openMs, usage, processes: parts.flatMap(({ processes }) => processes) }
  })
  return [...merged, ...others.filter(({ scope }) => !numbers.has(scope))]
}

function unknownScope(scope: number, stats: readonly ProcessStat[]): ShownScope {
  const processes = inTreeOrder(stats.filter(isAlive).map((stat) => platform.describeProcess(stat)))
  return { scope, state: 'unknown', route: null, openMs: null, deadlineInMs: null, usage: null, processes }
}

function ownUsage(stat: ProcessStat): Pick<ShownWorker, 'memoryBytes' | 'cpuMs'> {
  const { memoryBytes, cpuMs } = platform.describeProcess(stat)
  return { memoryBytes, cpuMs }
}

function noteOn(
  { state, keeper }: Pick<ShownWorker, 'state' | 'keeper'>,
  answer: KeeperAnswer | undefined
): string | null {
  const consequence = 'routes and deadlines are not known, and processes are found by their marks'
  if (keeper !== null && answer?.type === 'silent') return `its keeper ${answer.why}: ${consequence}`
  return state === 'gone' ? null : `it has no keeper that can be seen: ${consequence}`
}

/** Whether the process of the snapshot is alive, and its pid has not been reused. */
function isAlive({ pid, startTick }: ProcessStat): boolean {
  const now = platform.statOf(pid)
  return now?.alive === true && now.startTick === startTick
}

function inTreeOrder(processes: readonly ScopeProcess[]): ScopeProcess[] {
  return branchesOf(processes).map(({ process }) => process)
}
