/** The checks of `subprocess-guard doctor` for Windows. */

import type { PlatformDiagnosis } from '../../platform.js'

export const windowsDiagnosis: PlatformDiagnosis = {
  checkSystem: () => ({ name: 'system', severity: 'ok', says: 'Windows is supported.' }),
  checkProcessList: () => ({ name: 'processes', severity: 'ok', says: 'ok' }),
  checkContainment: async () => ({ containment: 'tree', findings: [] }),
  checkEnvironment: async () => []
}
