/**
 * Entry of everything that runs beside a worker, in one file, so that a bundled server needs one file beside it: the keeper, the
 * processes of hooks, and the thread that watches.
 */

import { isMainThread } from 'node:worker_threads'
import { keeperMarkName } from '../wire/mark.js'
import { hookArgument } from './run-hook.js'

if (!isMainThread) await import('../watch/watch-thread-main.js')
else if (process.argv[2] === hookArgument) await import('./hook-process-main.js')
else if (process.env[keeperMarkName] !== undefined) await import('./run-keeper.js')
else
  throw new Error('this is the file of the keeper, for the guard to start: it is not to be run or imported')
