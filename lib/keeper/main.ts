/**
 * Entry of everything that runs beside a worker: the keeper, the hook processes, and the watch thread. They
 * share one file, so that a bundled server needs only one file beside it.
 */

import { isMainThread } from 'node:worker_threads'
import { loadPlatform } from '../platform/current.js'
import { keeperMarkName } from '../wire/mark.js'
import { hookArgument } from './run-hook-process.js'

await loadPlatform()
if (!isMainThread) await import('../watch/watch-thread-main.js')
else if (process.argv[2] === hookArgument) await import('./hook-process-main.js')
else if (process.env[keeperMarkName] !== undefined) await import('./run-keeper.js')
else throw new Error('this is the file of the keeper: the guard starts it; do not run or import it yourself')
