/** The containment level that the guard must have on this machine, found independently of the code under test. */

import type { Containment } from 'fastify-subprocess-guard'
import { whyNoCgroups } from './cgroups.js'

const forced = process.env.SUBPROCESS_GUARD_CONTAINMENT

/** Whether processes are found as on macOS: the test of that level runs other files so. */
export const isTreeLevel = process.env.SUBPROCESS_GUARD_SYSTEM === 'posix'

/** With koffi. */
export const bestLevel: Containment = isTreeLevel ? 'tree' : hasCgroups() ? 'cgroup' : 'subreaper'

/** Without koffi. Node starts processes then, for which the keeper has to enter the cgroup. */
export const levelWithoutKoffi: Containment =
  forced === 'cgroup' && bestLevel === 'cgroup' ? 'cgroup' : 'marks'

/** Why a test of what is not known without cgroups proves nothing; false if it does. */
export const notBelowCgroup = bestLevel === 'cgroup' && 'the containment level is "cgroup"'

/** Why a test of what escapes at the level `marks` proves nothing; false if it does. */
export const notAtMarks = levelWithoutKoffi !== 'marks' && 'SUBPROCESS_GUARD_CONTAINMENT is set to cgroup'

function hasCgroups(): boolean {
  if (whyNoCgroups() !== false || forced === 'subreaper') return false
  return forced === 'cgroup' || libcStartsInCgroup()
}

/** glibc can since 2.39, musl cannot. */
function libcStartsInCgroup(): boolean {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } }
  const [major = 0, minor = 0] = (header.glibcVersionRuntime ?? '').split('.').map(Number)
  return major > 2 || (major === 2 && minor >= 39)
}
