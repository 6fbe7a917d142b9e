/** The operating system that this process runs on. All other folders import it from here. */

import { linux } from './linux/linux.js'
import type { Platform, PlatformDiagnosis } from './platform.js'

const implementations: { readonly [system in NodeJS.Platform]?: Platform } = { linux }

// On a system without an implementation, registration fails with what Linux's `whyUnsupported` returns.
// Nothing else is called.
const platform = implementations[process.platform] ?? linux

// As constants, so that a call costs no more than that of an imported function.
export const {
  adoptOrphans,
  allPids,
  allProcesses,
  argumentTextOf,
  bootId,
  bracketedNameOf,
  canDropRights,
  childrenOf,
  childrenOfMainThread,
  commandIn,
  commandOf,
  cwdPathOf,
  defaultPath,
  describeProcess,
  eachPid,
  environmentOf,
  environmentTextOf,
  findOrphanAdopter,
  hasDefaultAction,
  isSetuid,
  kernelWaitOf,
  listeningSocketsOf,
  listsOwnPids,
  loadNativeCalls,
  openFolderOf,
  openRights,
  ownerOf,
  pidNamespace,
  pidNamespaceOf,
  pidsInNamespaces,
  processorWaitOf,
  removeFolder,
  signalByPid,
  statOf,
  ticksNow,
  unknownBoot,
  usersOf,
  variableIn,
  whyNoProcessIsVisible,
  whyUnsupported,
  whyUnsupportedSystem
} = platform

export type * from './platform.js'

// The same on every system.
export { hasNoDescriptor, isOutOfDescriptors } from './posix/out-of-descriptors.js'
export { makeOwnFolder, ownFolders, protectedFirst, squattedLine } from './posix/own-folder.js'
export { mayCallSetsid } from './posix/setsid-commands.js'
export { shortCommand } from './short-command.js'
export { whyUnsupportedRuntime } from './unsupported-runtime.js'

/** Loads the checks of `subprocess-guard doctor`. Servers and keepers do not need them. */
export async function loadDiagnosis(): Promise<PlatformDiagnosis> {
  const { linuxDiagnosis } = await import('./linux/diagnosis/linux-diagnosis.js')
  return linuxDiagnosis
}
