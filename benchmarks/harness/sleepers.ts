/** The program that a worker starts many times. */

import { fileURLToPath } from 'node:url'

/** The arguments for `sh`: the process writes its pid into a pipe (pipe.ts) and becomes `sleep`. */
export const sleeper: readonly string[] = [
  fileURLToPath(new URL('../../../benchmarks/programs/sleeper.sh', import.meta.url))
]
