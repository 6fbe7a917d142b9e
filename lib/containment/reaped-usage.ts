/**
 * What children have used that Node waits for: it tells nobody. But the system adds it to a sum for all children
 * of this process, which has grown by that when Node reports an exit. Of children that end at the same moment,
 * the one that is reported first gets the usage of all.
 */

import { type ProcessUsage, platform, unknownUsage } from '../platform/current.js'

/** The part of the sum that has been reported, or was reaped by wait4(2), which tells it. */
const accounted = { userUs: 0, systemUs: 0 }

/** A child was reaped by wait4(2). */
export function noteReaped({ userUs, systemUs }: ProcessUsage): void {
  accounted.userUs += userUs
  accounted.systemUs += systemUs
}

/** What the sum has grown by since the last call. Undefined where the system does not tell. */
export function usageOfLastReaped(): ProcessUsage | undefined {
  const sum = platform.usageOfChildren()
  if (sum === undefined) return undefined
  // The sum is rounded down.
  const userUs = Math.max(0, sum.userUs - accounted.userUs)
  const systemUs = Math.max(0, sum.systemUs - accounted.systemUs)
  accounted.userUs += userUs
  accounted.systemUs += systemUs
  return { ...unknownUsage, userUs, systemUs }
}
