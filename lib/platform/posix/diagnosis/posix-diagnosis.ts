/** The checks of `subprocess-guard doctor` on systems without `/proc`. */

import type { PlatformDiagnosis } from '../../platform.js'

export const posixDiagnosis: PlatformDiagnosis = {
  checkSystem: () => ({ name: 'system', severity: 'ok', says: `This is ${process.platform}.` }),
  checkProcessList: () => ({ name: 'ps', severity: 'ok', says: '' }),
  checkContainment: async () => ({ containment: 'tree', findings: [] }),
  checkEnvironment: async () => []
}
