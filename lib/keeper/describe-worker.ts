/** Collects what is known of a worker that hangs or has ended, for the log and the hooks. */

import { isOutOfDescriptors, platform } from '../platform/current.js'
import type { StackSample } from '../wire/stack-sample.js'
import { summaryOf } from '../wire/usage.js'
import type { WorkerInfo } from '../wire/worker-info.js'
import type { Keeper } from './keeper.js'

/** Describes the worker with its open scopes and its processes, before any of them is ended. */
export function describeWorker(
  worker: number,
  keeper: Keeper,
  reason: Pick<WorkerInfo, 'why' | 'silentMs'>
): WorkerInfo {
  try {
    const scopes = keeper.status().scopes.map(({ scope: _, state: __, ...scope }) => scope)
    return { worker, ...reason, ...usageOfWorker(worker, reason.why), scopes, unscoped: keeper.unscoped() }
  } catch (error) {
    if (!isOutOfDescriptors(error)) throw error
    // A hung worker must be ended, even when no descriptor is left to read its processes.
    return { worker, ...reason, scopes: [], unscoped: [] }
  }
}

/** The pid of a worker that has ended may belong to another process. */
function usageOfWorker(worker: number, why: WorkerInfo['why']): Pick<WorkerInfo, 'usage'> {
  const usage = why === 'hung' ? platform.usageOf(worker) : undefined
  return usage === undefined ? {} : { usage: summaryOf(usage) }
}

export function stackInfo(sample: StackSample): Pick<WorkerInfo, 'stack' | 'whyNoStack' | 'route'> {
  if (sample.type === 'unknown') return { whyNoStack: sample.why }
  if (sample.type === 'paused') return { whyNoStack: 'a debugger has paused it' }
  const { stack, route } = sample
  return route === undefined ? { stack } : { stack, route }
}
