/** Checks the resource limits of this process, as Node reports them. */

import type { Finding } from '../../platform.js'

// What a busy server may need, of descriptors as of processes.
const recommendedLimit = 1_024

type Limits = Readonly<Record<string, { readonly soft: string | number } | undefined>>

export function checkReportedLimits(): Finding[] {
  const { userLimits = {} } = process.report.getReport() as { userLimits?: Limits }
  return [
    checkLimit('open files', userLimits.open_files, 'descriptors: each connection takes one'),
    checkLimit('processes', userLimits.max_user_processes, 'processes, all programs of the user together')
  ]
}

function checkLimit(name: string, limit: Limits[string], what: string): Finding {
  if (limit === undefined) return { name, severity: 'note', says: `The limit of ${name} is unknown.` }
  const { soft } = limit
  if (soft === 'unlimited') return { name, severity: 'ok', says: `The number of ${name} is not limited.` }
  const says = `A worker may have ${soft} ${what}.`
  if (Number(soft) >= recommendedLimit) return { name, severity: 'ok', says }
  return { name, severity: 'note', says, toDo: 'Raise the limit: see ulimit in the manual of your shell.' }
}
