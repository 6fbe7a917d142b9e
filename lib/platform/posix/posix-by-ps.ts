/** macOS and other systems without `/proc`: processes are found by ps(1), and no system call is made that Node lacks. */

import type { Platform } from '../platform.js'
import { bootId, unknownBoot } from './boot-by-first-process.js'
import { argumentTextOf, bracketedNameOf, commandIn, commandOf, describeProcess } from './describe-listed.js'
import { findOrphanAdopter } from './find-adopter-by-trial.js'
import { environmentOf, environmentTextOf, variableIn } from './listed-environments.js'
import { allPids, allProcesses, childrenOf, statOf } from './listed-processes.js'
import { canDropRights, openRights, ownerOf, usersOf } from './listed-rights.js'
import { makeOwnFolder, ownFolders, protectedFirst } from './own-folder.js'
import { posixBasics } from './posix-basics.js'
import { readAhead } from './read-ahead.js'
import { removeFolder } from './remove-folder-by-path.js'
import { limiterOf } from './rlimits/limiter-of.js'
import { blockedByReadingMs } from './run-ps.js'
import { signalByPid } from './signal-by-pid.js'
import { ticksNow } from './wall-clock.js'
import { whyNoList } from './why-no-list.js'

/** As execvp(3) of macOS and BSD. */
function defaultPath(): string {
  return '/usr/bin:/bin'
}

export const posixByPs: Platform = {
  ...posixBasics,
  // Nothing better can be had: there is no reason to give.
  adoptOrphans: async () => ({ native: undefined, adoptsOrphans: false }),
  allPids,
  allProcesses,
  argumentTextOf,
  bestContainment: 'tree',
  blockedByReadingMs,
  bootId,
  bracketedNameOf,
  canDropRights,
  childrenOf,
  childrenOfMainThread: (pid) => childrenOf({ pid }),
  commandIn,
  commandOf,
  // The path leads nowhere, or to another directory, once this one was removed or renamed.
  cwdPathOf: () => process.cwd(),
  defaultPath,
  describeProcess,
  eachPid: () => allPids().values(),
  environmentOf,
  environmentTextOf,
  findOrphanAdopter: () => findOrphanAdopter(statOf),
  // ps does not tell. A leader that would die of the signal gets it a moment before its children, and not with them.
  hasDefaultAction: () => false,
  // ps does not tell.
  isSetuid: () => false,
  kernelWaitOf: () => undefined,
  // What is above a hard limit is refused by the system, and the command ends with the message of the program that sets it.
  limiterOf: (call, limits) => limiterOf(call, limits, () => Number.POSITIVE_INFINITY, defaultPath()),
  listeningSocketsOf: () => undefined,
  listsOwnPids: () => statOf(process.pid) !== undefined,
  listsProcesses: true,
  loadNativeCalls: async () => new Error(`there are none for ${process.platform}`),
  makeOwnFolder,
  // sockaddr_un.sun_path holds 104 bytes including the terminating zero on macOS and BSD.
  maxSocketPathBytes: 103,
  openFolderOf: (_pid, path) => ({ path, close() {} }),
  openRights,
  ownerOf,
  ownFolders,
  pidNamespace: () => '0',
  pidNamespaceOf: () => '0',
  pidsInNamespaces: (pid) => [pid],
  processorWaitOf: () => undefined,
  protectedFirst,
  quickUsageOf: describeProcess,
  readAhead,
  removeFolder,
  scanLevel: 'tree',
  sharedFolders: ['/tmp'],
  signalByPid,
  statOf,
  statOfOwnChild: () => 'unread',
  ticksNow,
  unknownBoot,
  usersOf,
  variableIn,
  whyNoProcessIsVisible: whyNoList,
  whyUnsupported: whyNoList,
  whyUnsupportedSystem: () => undefined
}
