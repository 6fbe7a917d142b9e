/** Finds and removes the cgroups that a test file has left. */

import { allCgroups, isRemoved } from '../harness/cgroups.js'

/**
 * Removes them. Returns those in which a process is. The others are those of workers that a test has killed together
 * with their keepers: the next sweep would remove them.
 */
export function removeCgroups(realm: string): string[] {
  const left = allCgroups().filter((folder) => folder.includes(`~${realm}`))
  return left.toReversed().filter((folder) => !isRemoved(folder))
}
