/** The state of a scope and its living processes, for a person to read. */

import type { Census, Member } from '../containment/census.js'
import type { ScopeRecord } from '../containment/scope-record.js'
import { platform, type ScopeProcess } from '../platform/current.js'
import type { ScopeStatus } from '../wire/worker-status.js'
import type { KeeperScope } from './keeper-scope.js'

/** Undefined for a closed scope. */
export function statusOf(scope: KeeperScope, census: Census): ScopeStatus | undefined {
  const { record, opening, openedAt, deadlineInMs } = scope
  const { number, state } = record
  if (state === 'closed') return undefined
  return {
    scope: number,
    id: opening.id,
    ...(opening.route === undefined ? {} : { route: opening.route }),
    state,
    openMs: Math.round(performance.now() - openedAt),
    ...(deadlineInMs === undefined ? {} : { deadlineInMs: Math.round(deadlineInMs) }),
    processes: describeMembers(record, livingMembers(record, census))
  }
}

export function livingMembers(scope: ScopeRecord, census: Census): Member[] {
  return census.members(scope).filter(({ stat }) => stat.alive)
}

export function describeMembers(scope: ScopeRecord, members: readonly Member[]): ScopeProcess[] {
  return members.map(({ stat }) => platform.describeProcess(stat, scope.leaders.get(stat.pid)))
}
