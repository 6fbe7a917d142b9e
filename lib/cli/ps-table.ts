/** What `subprocess-guard ps` shows to people: workers, their scopes, and trees of processes. */

import type { ScopeProcess } from '../platform/current.js'
import { duration, size } from './format-units.js'
import type { ShownScope, ShownWorker } from './list-workers.js'
import { printable } from './printable.js'
import { type Branch, branchesOf } from './process-branches.js'

/** Whether the lines of a tree can be drawn as such. */
export type Lettering = 'ascii' | 'unicode'

const drawings = {
  ascii: { last: '`- ', fork: '|- ', past: '   ', beside: '|  ' },
  unicode: { last: '└─ ', fork: '├─ ', past: '   ', beside: '│  ' }
} as const

const widths = { pid: 9, age: 11, cpu: 11, memory: 9 }

/** The lines that show these workers; what may be long comes last in each. */
export function linesOf(workers: readonly ShownWorker[], lettering: Lettering): string[] {
  const lines = workers.flatMap((worker) => ['', ...linesOfWorker(worker, lettering)]).slice(1)
  return lettering === 'ascii' ? lines.map((line) => line.replaceAll('…', '...')) : lines
}

function linesOfWorker(worker: ShownWorker, lettering: Lettering): string[] {
  const { note, scopes, unscoped } = worker
  const lines = [headOf(worker)]
  if (note !== null) lines.push(`  note: ${note}`)
  if (scopes.length === 0) lines.push(note === null ? '  no open scope' : '  no process')
  const all = scopes.flatMap((scope) => [
    headOfScope(scope),
    ...(scope.processes.length === 0 ? ['         no process'] : rowsOf(scope.processes, lettering))
  ])
  if (unscoped.length > 0) {
    const title = '  in no open scope: started outside requests, released, or a survivor'
    all.push(title, ...rowsOf(unscoped, lettering))
  }
  const hasRows = unscoped.length > 0 || scopes.some(({ processes }) => processes.length > 0)
  return [...lines, ...(hasRows ? [rowOf('PID', 'AGE', 'CPU', 'MEMORY', 'COMMAND')] : []), ...all]
}

function headOf({ worker, state, command, memoryBytes, keeper, containment }: ShownWorker): string {
  const kept = keeper === null ? 'no keeper' : `keeper ${keeper}`
  if (state === 'running') {
    const memory = memoryBytes === null ? [] : [size(memoryBytes)]
    const level = containment === null ? [] : [printable(containment)]
    return [`worker ${worker}`, ...memory, kept, ...level, printable(command ?? '')].join('  ')
  }
  if (state === 'elsewhere') return `worker ${worker} of a PID namespace that is not seen from here  ${kept}`
  return keeper === null
    ? `left by worker ${worker} (gone): \`subprocess-guard sweep\` ends it`
    : `left by worker ${worker} (gone): ${kept} is about to end it`
}

function headOfScope({ scope, state, route, openMs, deadlineInMs }: ShownScope): string {
  const name = scope === 0 ? '  in no request' : `  scope ${scope}`
  if (state === 'unknown') return name
  const facts = [
    ...(state === 'closing' ? ['closing'] : []),
    `open ${duration(openMs ?? Number.NaN)}`,
    `deadline ${deadlineOf(deadlineInMs)}`
  ]
  return [name, ...facts, printable(route ?? 'no route')].join('  ')
}

function deadlineOf(inMs: number | null): string {
  if (inMs === null) return 'none'
  return inMs < 0 ? 'passed' : `in ${duration(inMs)}`
}

function rowsOf(processes: readonly ScopeProcess[], lettering: Lettering): string[] {
  return branchesOf(processes).map((branch) => {
    const { pid, ageMs, cpuMs, memoryBytes, command } = branch.process
    const drawn = `${leadOf(branch, lettering)}${printable(command)}`
    return rowOf(String(pid), duration(ageMs), duration(cpuMs), size(memoryBytes), drawn)
  })
}

function leadOf({ isLast }: Branch, lettering: Lettering): string {
  const { last, fork, past, beside } = drawings[lettering]
  return isLast
    .map((isLastOne, depth) => {
      if (depth === isLast.length - 1) return isLastOne ? last : fork
      return isLastOne ? past : beside
    })
    .join('')
}

function rowOf(pid: string, age: string, cpu: string, memory: string, command: string): string {
  const numbers = [
    pid.padStart(widths.pid),
    age.padStart(widths.age),
    cpu.padStart(widths.cpu),
    memory.padStart(widths.memory)
  ]
  return `${numbers.join('')}  ${command}`
}
