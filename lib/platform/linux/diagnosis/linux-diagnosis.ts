/** The checks of `subprocess-guard doctor` on Linux. */

import type { Finding, PlatformDiagnosis } from '../../platform.js'
import { loadNativeCalls } from '../native-calls.js'
import { whyUnsupportedSystem } from '../why-unsupported.js'
import { checkCgroup } from './check-cgroup.js'
import { checkFirstProcess } from './check-first-process.js'
import { checkOpenFiles, checkProcessLimit } from './check-limits.js'
import { checkNativeCalls } from './check-native-calls.js'
import { checkProc } from './check-proc.js'
import { checkScopeCgroups } from './check-scope-cgroups.js'
import { checkUserNamespaces } from './check-user-namespaces.js'

export const linuxDiagnosis: PlatformDiagnosis = {
  checkSystem,
  checkProcessList: checkProc,
  async checkContainment() {
    const natives = await checkNativeCalls()
    const problem = natives.find(({ severity }) => severity === 'problem')
    const native = problem === undefined ? await loadNativeCalls() : undefined
    const { finding, isPossible } = checkScopeCgroups(native instanceof Error ? undefined : native)
    const findings = [...natives, finding]
    if (isPossible) return { containment: 'cgroup', findings }
    if (problem === undefined) return { containment: 'subreaper', why: finding.says, findings }
    return { containment: 'marks', why: problem.says, findings }
  },
  async checkEnvironment(formatBytes) {
    return [
      await checkFirstProcess(),
      checkOpenFiles(),
      checkProcessLimit(),
      checkCgroup(formatBytes),
      checkUserNamespaces()
    ]
  }
}

function checkSystem(): Finding {
  const name = 'system'
  if (whyUnsupportedSystem() === undefined) return { name, severity: 'ok', says: 'This is Linux.' }
  const says = `This is ${process.platform}: the guard finds processes in /proc, which only Linux has.`
  return { name, severity: 'problem', says, toDo: 'Run the server on Linux, in a container if necessary.' }
}
