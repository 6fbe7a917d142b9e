/** The cgroups of Linux, version 2. */

import type { Cgroups } from '../../platform.js'
import { cgroupsBelow, freeze, isPopulated, kill, pidsIn, remove, thaw } from './cgroup-folder.js'
import { usageOf } from './cgroup-usage.js'
import { insideCgroup, moveToOwnCgroup } from './enter-cgroup.js'
import { findCgroups } from './find-cgroups.js'
import { exhaustedMemoryOf, limitMemory } from './limit-memory.js'
import { cgroupPathOf } from './own-cgroup.js'
import { makeScopeCgroup, makeWorkerCgroup } from './worker-cgroup.js'

export const linuxCgroups: Cgroups = {
  makeWorkerCgroup,
  makeScopeCgroup,
  limitMemory,
  exhaustedMemoryOf,
  find: findCgroups,
  below: cgroupsBelow,
  pathOf: cgroupPathOf,
  pidsIn,
  isPopulated,
  inside: insideCgroup,
  moveOut: moveToOwnCgroup,
  freeze,
  thaw,
  kill,
  usageOf,
  remove
}
