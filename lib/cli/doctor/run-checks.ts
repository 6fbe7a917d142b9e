/** Makes all checks of `subprocess-guard doctor`, and concludes the level of containment from them. */

import { type Finding, loadDiagnosis } from '../../platform/current.js'
import type { Containment } from '../../wire/messages.js'
import { size } from '../format-units.js'
import { checkSharedFolder, checkSocketFolder } from './check-folders.js'
import { checkNode } from './check-node.js'

/** The output of `subprocess-guard doctor --json`. */
export interface Diagnosis {
  /** The level of containment that a guard has here. `none` if it cannot run. */
  readonly containment: Containment | 'none'
  /** Why the level is below `subreaper`. Null if it is not. */
  readonly why: string | null
  readonly findings: readonly Finding[]
}

/**
 * Checks the machine as this process sees it. A server that is started in another way may see something else.
 */
export async function examine(): Promise<Diagnosis> {
  const { checkSystem, checkProcessList, checkNativeCalls, checkEnvironment } = await loadDiagnosis()
  const system = checkSystem()
  const basis = [checkNode(), system]
  if (system.severity === 'problem') return conclude(basis, basis)
  const required = [...basis, checkProcessList(), await checkSocketFolder()]
  const calls = await checkNativeCalls()
  const rest = [checkSharedFolder(), ...(await checkEnvironment(size))]
  return conclude([...required, ...calls, ...rest], required, calls)
}

/**
 * After a problem in `required`, the guard cannot run. After a problem in `calls`, its keeper cannot be a
 * subreaper.
 */
function conclude(
  findings: readonly Finding[],
  required: readonly Finding[],
  calls: readonly Finding[] = []
): Diagnosis {
  for (const [containment, decisive] of [
    ['none', required],
    ['marks', calls]
  ] as const) {
    const problem = decisive.find(({ severity }) => severity === 'problem')
    if (problem !== undefined) return { containment, why: asReason(problem.says), findings }
  }
  return { containment: 'subreaper', why: null, findings }
}

/** Turns a sentence into a part of another one. */
function asReason(sentence: string): string {
  return sentence.replace(/\.$/, '').replace(/^(?:This|There|No)\b/, (word) => word.toLowerCase())
}
