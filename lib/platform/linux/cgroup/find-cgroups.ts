/** Finds cgroups of this user by their names, in all of the hierarchy that this process sees. */

import { statSync } from 'node:fs'
import { basename } from 'node:path'
import { cgroupsBelow } from './cgroup-folder.js'
import { cgroupMounts } from './own-cgroup.js'

/** The directories of all cgroups of this user whose names begin so. Parents come before their children. */
export function findCgroups(prefix: string): string[] {
  const found: string[] = []
  const [mount] = cgroupMounts()
  const waiting = mount === undefined ? [] : [mount.path]
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    try {
      if (basename(at).startsWith(prefix) && statSync(at).uid === process.geteuid?.()) found.push(at)
      waiting.push(...cgroupsBelow(at))
    } catch {
      // It was removed meanwhile, or this user may not read it.
    }
  }
  return found
}
