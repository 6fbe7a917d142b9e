/** The checks of `subprocess-guard doctor` where processes are found by ps(1). */

import { release, type } from 'node:os'
import type { Finding, PlatformDiagnosis } from '../../platform.js'
import { allPids } from '../listed-processes.js'
import { whyNoList } from '../why-no-list.js'
import { checkEnvironments } from './check-environments.js'
import { checkReportedLimits } from './check-reported-limits.js'

export const posixDiagnosis: PlatformDiagnosis = {
  checkSystem() {
    return {
      name: 'system',
      severity: 'ok',
      says: `This is ${type()} ${release()}. Processes are found by ps.`
    }
  },
  checkProcessList,
  async checkContainment() {
    return { containment: 'tree', findings: await checkEnvironments() }
  },
  async checkEnvironment() {
    return checkReportedLimits()
  }
}

function checkProcessList(): Finding {
  const name = 'ps'
  const startedAt = performance.now()
  const why = whyNoList()
  const ms = Math.round(performance.now() - startedAt)
  if (why === undefined) {
    return { name, severity: 'ok', says: `ps lists ${allPids().length} processes within ${ms} ms.` }
  }
  const toDo = 'Install ps, and allow this process to run it: some sandboxes do not.'
  return { name, severity: 'problem', says: `There is no list of processes: ${why}.`, toDo }
}
