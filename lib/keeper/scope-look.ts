/** One look at what the processes of a scope use together, and whether that exceeds a limit. */

import { basename } from 'node:path'
import type { Census, Member } from '../containment/census.js'
import type { ScopeRecord } from '../containment/scope-record.js'
import { platform } from '../platform/current.js'
import type { ExceededLimit } from '../scope-limits.js'

/** What the living processes of a scope use. */
export interface Look {
  readonly members: readonly Member[]
  readonly memoryBytes: number
  /** That of ended processes included. */
  readonly cpuMs: number
}

/** Sums up what these members use, and what ended ones have used. */
export function lookAt(scope: ScopeRecord, found: readonly Member[], census: Census): Look {
  const members = found.filter(({ stat }) => stat.alive)
  const stats = members.map(({ stat }) => stat)
  const { memoryBytes, cpuMs } = scope.usage.noteLiving(stats, scope.external.usage.endedCpuMs)
  // The system also counts processes that nobody has waited for.
  return { members, memoryBytes, cpuMs: Math.max(cpuMs, census.usageOf?.(scope).cpuMs ?? 0) }
}

/** The first limit that is exceeded. Memory is compared last, because its true value takes long to read. */
export function exceededLimit(
  scope: ScopeRecord,
  { members, memoryBytes, cpuMs }: Look
): ExceededLimit | undefined {
  const { processes, cpu, memory } = scope.limits
  if (processes !== undefined && members.length > processes) {
    const most = mostCommon(members)
    return { limit: 'processes', value: processes, used: members.length, ...nameOf(scope, most) }
  }
  if (cpu !== undefined && cpuMs > cpu) {
    const largest = largestBy(members, ({ stat }) => platform.quickUsageOf(stat).cpuMs)
    return { limit: 'cpu', value: cpu, used: Math.ceil(cpuMs), ...nameOf(scope, largest) }
  }
  if (memory === undefined || memoryBytes <= memory) return undefined
  const used = proportionalMemoryOf(members)
  if (used <= memory) return undefined
  const largest = largestBy(members, ({ stat }) => platform.quickUsageOf(stat).memoryBytes)
  return { limit: 'memory', value: memory, used, ...nameOf(scope, largest) }
}

/**
 * The system has killed the processes of the scope when they had that much memory, before a look has noticed that it was
 * too much.
 */
export function outOfMemory(scope: ScopeRecord, used: number): ExceededLimit {
  const value = scope.limits.memory ?? 0
  const [command = 'unknown'] = scope.leaders.values()
  const [program = command] = command.split(' ', 1)
  return { limit: 'memory', value, used, command, program: basename(program) }
}

/** The memory of all of them, in which shared memory counts once. */
export function proportionalMemoryOf(members: readonly Member[]): number {
  let bytes = 0
  for (const { stat } of members)
    bytes += platform.proportionalMemoryOf(stat.pid) ?? platform.quickUsageOf(stat).memoryBytes
  return bytes
}

function nameOf(
  { leaders }: ScopeRecord,
  member: Member | undefined
): Pick<ExceededLimit, 'command' | 'program'> {
  // Those that have used the processor time have ended.
  if (member === undefined)
    return { command: 'commands that have ended', program: 'commands that have ended' }
  const { stat } = member
  return { command: platform.commandOf(stat, leaders.get(stat.pid)), program: stat.name }
}

function largestBy(members: readonly Member[], sizeOf: (member: Member) => number): Member | undefined {
  let largest: Member | undefined
  let size = -1
  for (const member of members) {
    const own = sizeOf(member)
    if (own > size) [largest, size] = [member, own]
  }
  return largest
}

/** A process of the program that most of them run. */
function mostCommon(members: readonly Member[]): Member | undefined {
  const counts = new Map<string, number>()
  for (const { stat } of members) counts.set(stat.name, (counts.get(stat.name) ?? 0) + 1)
  return largestBy(members, ({ stat }) => counts.get(stat.name) ?? 0)
}
