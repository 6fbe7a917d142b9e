/**
 * Entry of everything that runs beside a worker, in one file, so that a bundled server needs one file beside it: the keeper, the
 * processes of hooks, and the thread that watches.
 */

import { isMainThread } from 'node:worker_threads'
import { keeperMarkName } from '../mark.js'
import { hookArgument } from './hook-process.js'

if (!isMainThread) await import('../watch/thread.js')
else if (process.argv[2] === hookArgument) await import('./hook-main.js')
else if (process.env[keeperMarkName] !== undefined) await import('./keeper-main.js')
else
  throw new Error('this is the file of the keeper, for the guard to start: it is not to be run or imported')
