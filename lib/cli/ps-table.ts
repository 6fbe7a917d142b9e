/** Draws the output of `subprocess-guard ps`: workers, their scopes, and the trees of processes. */

import type { ScopeProcess } from '../platform/current.js'
import type { UsageSummary } from '../wire/usage.js'
import { duration, size } from './format-units.js'
import { printable } from './printable.js'
import { type Branch, branchesOf } from './process-branches.js'
import type { ShownScope, ShownWorker } from './shown-worker.js'

/** The characters that trees are drawn with. */
export type LineStyle = 'ascii' | 'unicode'

const drawings = {
  ascii: { last: '`- ', fork: '|- ', past: '   ', beside: '|  ' },
  unicode: { last: '└─ ', fork: '├─ ', past: '   ', beside: '│  ' }
} as const

const widths = { pid: 9, age: 11, cpu: 11, memory: 9 }

/** The lines that show these workers. What may be long comes last in each line. */
export function formatWorkers(workers: readonly ShownWorker[], style: LineStyle): string[] {
  const lines = workers.flatMap((worker) => ['', ...formatWorker(worker, style)]).slice(1)
  return style === 'ascii' ? lines.map((line) => line.replaceAll('…', '...')) : lines
}

function formatWorker(worker: ShownWorker, style: LineStyle): string[] {
  const { note, scopes, unscoped } = worker
  const lines = [workerHeading(worker)]
  if (note !== null) lines.push(`  note: ${note}`)
  if (scopes.length === 0) lines.push(note === null ? '  no open scope' : '  no process')
  const body = scopes.flatMap((scope) => [
    scopeHeading(scope),
    ...(scope.processes.length === 0 ? ['         no process'] : formatProcesses(scope.processes, style))
  ])
  if (unscoped.length > 0) {
    const heading = '  in no open scope: started outside requests, released, or a survivor'
    body.push(heading, ...formatProcesses(unscoped, style))
  }
  const hasProcesses = unscoped.length > 0 || scopes.some(({ processes }) => processes.length > 0)
  const columnHeadings = hasProcesses ? [formatRow('PID', 'AGE', 'CPU', 'MEMORY', 'COMMAND')] : []
  return [...lines, ...columnHeadings, ...body]
}

function workerHeading({
  worker,
  state,
  command,
  memoryBytes,
  cpuMs,
  keeper,
  containment
}: ShownWorker): string {
  const keeperText = keeper === null ? 'no keeper' : `keeper ${keeper}`
  if (state === 'running') {
    const memory = memoryBytes === null ? [] : [size(memoryBytes)]
    const cpu = cpuMs === null ? [] : [`cpu ${duration(cpuMs)}`]
    const level = containment === null ? [] : [printable(containment)]
    return [`worker ${worker}`, ...memory, ...cpu, keeperText, ...level, printable(command ?? '')].join('  ')
  }
  if (state === 'elsewhere') {
    return `worker ${worker} in a PID namespace that cannot be seen from here  ${keeperText}`
  }
  return keeper === null
    ? `left by worker ${worker} (gone): run \`subprocess-guard sweep\` to end it`
    : `left by worker ${worker} (gone): ${keeperText} is about to end it`
}

function scopeHeading({ scope, state, route, openMs, deadlineInMs, usage }: ShownScope): string {
  const name = scope === 0 ? '  outside requests' : `  scope ${scope}`
  if (state === 'unknown') return name
  const facts = [
    ...(state === 'closing' ? ['closing'] : []),
    `open ${duration(openMs ?? Number.NaN)}`,
    `deadline ${formatDeadline(deadlineInMs)}`,
    ...(usage === null ? [] : formatUsage(usage))
  ]
  return [name, ...facts, printable(route ?? 'no route')].join('  ')
}

/** What the scope has used in all: its processes that have ended are not listed any more. */
function formatUsage({ cpuMs, peakMemoryBytes }: UsageSummary): string[] {
  return [
    ...(cpuMs === undefined ? [] : [`cpu ${duration(cpuMs)}`]),
    ...(peakMemoryBytes === undefined ? [] : [`peak ${size(peakMemoryBytes)}`])
  ]
}

function formatDeadline(inMs: number | null): string {
  if (inMs === null) return 'none'
  return inMs < 0 ? 'passed' : `in ${duration(inMs)}`
}

function formatProcesses(processes: readonly ScopeProcess[], style: LineStyle): string[] {
  return branchesOf(processes).map((branch) => {
    const { pid, ageMs, cpuMs, memoryBytes, command } = branch.process
    const label = `${branchLines(branch, style)}${printable(command)}`
    return formatRow(String(pid), duration(ageMs), duration(cpuMs), size(memoryBytes), label)
  })
}

/** The lines that connect a process with its parent. */
function branchLines({ isLast }: Branch, style: LineStyle): string {
  const { last, fork, past, beside } = drawings[style]
  return isLast
    .map((isLastChild, depth) => {
      if (depth === isLast.length - 1) return isLastChild ? last : fork
      return isLastChild ? past : beside
    })
    .join('')
}

function formatRow(pid: string, age: string, cpu: string, memory: string, command: string): string {
  const columns = [
    pid.padStart(widths.pid),
    age.padStart(widths.age),
    cpu.padStart(widths.cpu),
    memory.padStart(widths.memory)
  ]
  return `${columns.join('')}  ${command}`
}
