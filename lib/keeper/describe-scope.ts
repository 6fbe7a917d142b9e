/** The state of a scope and its living processes, for a person to read. */

import type { Census, Member } from '../containment/census.js'
import type { ScopeRecord } from '../containment/scope-record.js'
import { platform, type ScopeProcess } from '../platform/current.js'
import { largerUsage, sumOfUsages, type UsageSummary } from '../wire/usage.js'
import type { ScopeStatus } from '../wire/worker-status.js'
import type { KeeperScope } from './keeper-scope.js'

/** Undefined for a closed scope. */
export function statusOf(scope: KeeperScope, census: Census): ScopeStatus | undefined {
  const { record, opening, openedAt, deadlineInMs } = scope
  const { number, state } = record
  if (state === 'closed') return undefined
  const processes = describeMembers(record, livingMembers(record, census))
  return {
    scope: number,
    id: opening.id,
    ...(opening.route === undefined ? {} : { route: opening.route }),
    state,
    openMs: Math.round(performance.now() - openedAt),
    ...(deadlineInMs === undefined ? {} : { deadlineInMs: Math.round(deadlineInMs) }),
    usage: usageUpToNow(record, processes, census),
    processes
  }
}

export function livingMembers(scope: ScopeRecord, census: Census): Member[] {
  return census.members(scope).filter(({ stat }) => stat.alive)
}

export function describeMembers(scope: ScopeRecord, members: readonly Member[]): ScopeProcess[] {
  return members.map(({ stat }) => platform.describeProcess(stat, scope.leaders.get(stat.pid)))
}

/** What the processes of a scope have used, those that have ended and those that are alive. */
function usageUpToNow(scope: ScopeRecord, living: readonly ScopeProcess[], census: Census): UsageSummary {
  const { usage, external } = scope
  // What is left has the fields of a usage.
  const ofLiving = living.map(
    ({ pid: _1, parent: _2, command: _3, ageMs: _4, memoryBytes: _5, ...used }) => used
  )
  usage.noteAlive(living.length)
  return largerUsage(
    sumOfUsages([usage.total({}), ...ofLiving]),
    usage.total(external.usage.total(), census.usageOf?.(scope))
  )
}
