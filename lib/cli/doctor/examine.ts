/** Everything that the doctor looks at, and what follows from it. */

import type { Containment } from '../../wire/messages.js'
import { tryCalls } from './calls.js'
import { findCgroup } from './cgroup.js'
import type { Finding } from './finding.js'
import { findFirstProcess } from './first-process.js'
import { findFolder, findSharedFolder } from './folder.js'
import { findFiles, findProcessLimit } from './limits.js'
import { findProc } from './proc.js'
import { findNode, findSystem } from './runs-on-linux.js'
import { findUserNamespaces } from './user-namespaces.js'

/** What `subprocess-guard doctor --json` shows. */
export interface Diagnosis {
  /** The level of containment that a guard has here; `none` where it cannot run. */
  readonly containment: Containment | 'none'
  /** Why it is below `subreaper`; null when it is not. */
  readonly why: string | null
  readonly findings: readonly Finding[]
}

/** Looks at the machine as this process sees it. A server that is started otherwise may see another. */
export async function examine(): Promise<Diagnosis> {
  const basis = [findNode(), findSystem()]
  if (process.platform !== 'linux') return conclude(basis, basis)
  const needed = [...basis, findProc(), await findFolder()]
  const calls = await tryCalls()
  const rest = [
    findSharedFolder(),
    await findFirstProcess(),
    findFiles(),
    findProcessLimit(),
    findCgroup(),
    findUserNamespaces()
  ]
  return conclude([...needed, ...calls, ...rest], needed, calls)
}

/** With a problem among the needed the guard cannot run; with one among the calls, not as a subreaper. */
function conclude(
  findings: readonly Finding[],
  needed: readonly Finding[],
  calls: readonly Finding[] = []
): Diagnosis {
  for (const [containment, decisive] of [
    ['none', needed],
    ['marks', calls]
  ] as const) {
    const problem = decisive.find(({ severity }) => severity === 'problem')
    if (problem !== undefined) return { containment, why: asReason(problem.says), findings }
  }
  return { containment: 'subreaper', why: null, findings }
}

/** A sentence as a part of another. */
function asReason(sentence: string): string {
  return sentence.replace(/\.$/, '').replace(/^(?:This|There|No)\b/, (word) => word.toLowerCase())
}
