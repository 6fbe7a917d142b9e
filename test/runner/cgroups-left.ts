/** Finds and removes the cgroups that a test file has left. */

import { rmdirSync } from 'node:fs'
import { basename } from 'node:path'
import { allCgroups } from '../harness/cgroups.js'

/** Removes them, if no process is in them. Returns the names of those of workers. */
export function removeCgroups(realm: string): string[] {
  const left = allCgroups().filter((folder) => folder.includes(`~${realm}`))
  for (const folder of left.toReversed()) rmdirSync(folder)
  return left.map((folder) => basename(folder)).filter((name) => name.includes(realm))
}
