/** The checks of `subprocess-guard doctor` for Windows. */

import { version } from 'node:os'
import { isatty } from 'node:tty'
import type { Finding, PlatformDiagnosis } from '../../platform.js'
import { checkJobs } from './check-jobs.js'
import { checkTaskkill } from './check-taskkill.js'

export const windowsDiagnosis: PlatformDiagnosis = {
  checkSystem: () => ({ name: 'system', severity: 'ok', says: `${version()} is supported.` }),
  // Commands are in job objects, and children of the keeper otherwise: no list is needed.
  checkProcessList: () => ({ name: 'processes', severity: 'ok', says: 'No process has to be searched for.' }),
  async checkContainment() {
    const jobs = await checkJobs()
    if (jobs.severity === 'ok') return { containment: 'job', findings: [jobs] }
    return { containment: 'tree', why: jobs.says, findings: [jobs, await checkTaskkill()] }
  },
  checkEnvironment: async () => [checkConsole()]
}

function checkConsole(): Finding {
  const name = 'console'
  if (![0, 1, 2].some((descriptor) => isatty(descriptor))) {
    const says = 'There is no console here: each command gets one of its own, without a window.'
    return { name, severity: 'ok', says }
  }
  const says = 'There is a console here: a command that inherits it is started by the worker itself.'
  return { name, severity: 'ok', says }
}
