/** The containment level that keepers try first, as the environment of the server says. */

import { SubprocessOptionError } from './errors.js'

const name = 'SUBPROCESS_GUARD_CONTAINMENT'

/**
 * - `cgroup`: also where the C library cannot start a process in a cgroup, so that each start may take 15 ms.
 * - `subreaper`: no cgroups.
 * - undefined: cgroups where they make no start slow.
 *
 * @throws {SubprocessOptionError} if the variable has another value.
 */
export function levelToTry(): 'cgroup' | 'subreaper' | undefined {
  const level = process.env[name]
  if (level === undefined || level === 'cgroup' || level === 'subreaper') return level
  throw new SubprocessOptionError(name, level, 'set it to cgroup or subreaper, or leave it unset')
}
