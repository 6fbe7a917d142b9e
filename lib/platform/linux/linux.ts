/** Linux: processes are found in `/proc`, and system calls are made by koffi. */

import type { Platform } from '../platform.js'
import { findOrphanAdopter } from '../posix/find-adopter-by-trial.js'
import { makeOwnFolder, ownFolders, protectedFirst } from '../posix/own-folder.js'
import { posixBasics } from '../posix/posix-basics.js'
import { limiterOf } from '../posix/rlimits/limiter-of.js'
import { signalByPid } from '../posix/signal-by-pid.js'
import { allPids, allProcesses, eachPid, listsOwnPids } from './all-processes.js'
import { adoptOrphans } from './become-subreaper.js'
import { ticksNow } from './boot-clock.js'
import { bootId, unknownBoot } from './boot-id.js'
import { defaultPath } from './c-library.js'
import { linuxCgroups } from './cgroup/linux-cgroups.js'
import { denyPrivileges, privilegeDenier } from './deny-privileges.js'
import { describeProcess } from './describe-process.js'
import { readHardLimits } from './hard-limits.js'
import { listeningSocketsOf } from './listening-sockets.js'
import { loadNativeCalls } from './native-calls.js'
import { pidNamespace, pidNamespaceOf, pidsInNamespaces } from './pid-namespace.js'
import { setNiceOfSession } from './priority/nice.js'
import { oomScores } from './priority/oom-scores.js'
import { cwdPathOf, openFolderOf } from './proc-links.js'
import { childrenOf, childrenOfMainThread } from './process-children.js'
import { argumentTextOf, bracketedNameOf, commandIn, commandOf } from './process-command.js'
import { environmentOf, environmentTextOf, variableIn } from './process-environment.js'
import { isSetuid, ownerOf, usersOf } from './process-owner.js'
import { canDropRights, openRights } from './process-rights.js'
import { statOf } from './process-stat.js'
import { usageOf, usageOfChildren } from './process-usage.js'
import { kernelWaitOf, processorWaitOf } from './process-waits.js'
import { countThreads, proportionalMemoryOf, quickUsageOf } from './quick-usage.js'
import { removeFolder } from './remove-folder.js'
import { hasDefaultAction } from './signal-disposition.js'
import { whyNoProcessIsVisible, whyUnsupported, whyUnsupportedSystem } from './why-unsupported.js'

export const linux: Platform = {
  ...posixBasics,
  adoptOrphans,
  allPids,
  allProcesses,
  argumentTextOf,
  bestContainment: 'cgroup',
  blockedByReadingMs: () => 0,
  bootId,
  bracketedNameOf,
  canDenyPrivileges: true,
  canDropRights,
  childrenOf,
  childrenOfMainThread,
  cgroups: linuxCgroups,
  commandIn,
  commandOf,
  countThreads,
  cwdPathOf,
  defaultPath,
  describeProcess,
  eachPid,
  environmentOf,
  environmentTextOf,
  findOrphanAdopter: () => findOrphanAdopter(statOf),
  hasDefaultAction,
  isSetuid,
  kernelWaitOf,
  denyPrivileges,
  limiterOf: (call, limits) => limiterOf(call, limits, readHardLimits(), defaultPath(), privilegeDenier),
  listeningSocketsOf,
  listsOwnPids,
  listsProcesses: true,
  loadNativeCalls,
  makeOwnFolder,
  // sockaddr_un.sun_path holds 108 bytes including the terminating zero (unix(7)).
  maxSocketPathBytes: 107,
  oomScores,
  openFolderOf,
  openRights,
  ownerOf,
  ownFolders,
  pidNamespace,
  pidNamespaceOf,
  pidsInNamespaces,
  privilegeDenier,
  processorWaitOf,
  proportionalMemoryOf,
  protectedFirst,
  quickUsageOf,
  readAhead: undefined,
  removeFolder,
  scanLevel: 'marks',
  sharedFolders: ['/dev/shm'],
  setNiceOfSession,
  signalByPid,
  statOf,
  statOfOwnChild: statOf,
  ticksNow,
  unknownBoot,
  usageOf,
  usageOfChildren,
  usersOf,
  variableIn,
  whyNoProcessIsVisible,
  whyUnsupported,
  whyUnsupportedSystem
}
