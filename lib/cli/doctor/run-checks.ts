/** Makes all checks of `subprocess-guard doctor`, and concludes the level of containment from them. */

import type { Containment } from '../../containment-level.js'
import { type ContainmentCheck, type Finding, loadDiagnosis, platform } from '../../platform/current.js'
import { size } from '../format-units.js'
import { checkSharedFolder, checkSocketFolder } from './check-folders.js'
import { checkNode } from './check-node.js'

/** The output of `subprocess-guard doctor --json`. */
export interface Diagnosis {
  /** The level of containment that a guard has here. `none` if it cannot run. */
  readonly containment: Containment | 'none'
  /** Why it is not the best level of this system. Null if it is. */
  readonly why: string | null
  readonly findings: readonly Finding[]
}

/**
 * Checks the machine as this process sees it. A server that is started in another way may see something else.
 */
export async function examine(): Promise<Diagnosis> {
  const { checkSystem, checkProcessList, checkContainment, checkEnvironment } = await loadDiagnosis()
  const system = checkSystem()
  const basis = [checkNode(), system]
  if (isProblem(system)) return conclude(basis, basis)
  const required = [...basis, checkProcessList(), await checkSocketFolder()]
  const level = await checkContainment()
  const shared = platform.findsProcessesByMark ? [checkSharedFolder()] : []
  const findings = [...required, ...level.findings, ...shared, ...(await checkEnvironment(size))]
  return conclude(findings, required, level)
}

/** After a problem in `required`, the guard cannot run. */
function conclude(
  findings: readonly Finding[],
  required: readonly Finding[],
  level?: ContainmentCheck
): Diagnosis {
  const problem = required.find(isProblem)
  const containment = problem === undefined && level !== undefined ? level.containment : 'none'
  const why = problem?.says ?? level?.why
  return { containment, why: why === undefined ? null : asReason(why), findings }
}

function isProblem({ severity }: Finding): boolean {
  return severity === 'problem'
}

/** Turns a sentence into a part of another one. */
function asReason(sentence: string): string {
  return sentence.replace(/\.$/, '').replace(/^(?:This|There|No|Scopes)\b/, (word) => word.toLowerCase())
}
