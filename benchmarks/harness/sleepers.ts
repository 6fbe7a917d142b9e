/** The program of which a worker starts many, and as many arguments as it takes. */

import { fileURLToPath } from 'node:url'

/** For `sh`: a process that says its number into a pipe (pipe.ts) and becomes `sleep`. */
export const sleeper: readonly string[] = [
  fileURLToPath(new URL('../../../benchmarks/programs/sleeper.sh', import.meta.url))
]
