/** Windows: commands are in job objects, or at least ended by `taskkill`. */

import { tmpdir } from 'node:os'
import { isatty } from 'node:tty'
import type { Platform } from '../platform.js'
import { isParentGone } from './choose-containers.js'
import { signalByPid, supportsSignal } from './end-process.js'
import { bootId, folderOf, socketOf } from './own-place.js'
import {
  allPids,
  allProcesses,
  bracketedNameOf,
  childrenOf,
  commandOf,
  describeProcess,
  quickUsageOf,
  statOf
} from './process-list.js'
import { findProgram } from './program-path.js'
import { removeFolder } from './remove-open-folder.js'
import { shellCommand } from './windows-shell.js'

export { loadContainers } from './choose-containers.js'

const unknown = (): undefined => undefined

export const windows: Platform = {
  // There are no subreapers, and commands are in containers.
  adoptOrphans: async () => ({ native: undefined, adoptsOrphans: false }),
  allPids,
  allProcesses,
  argumentTextOf: unknown,
  bestContainment: 'job',
  blockedByReadingMs: () => 0,
  bootId,
  bracketedNameOf,
  canDenyPrivileges: false,
  canDropRights: () => false,
  // Node.js itself shares a console with its children. A keeper may have none.
  canPassOn: (descriptor) => !isatty(descriptor),
  childrenOf,
  childrenOfMainThread: (pid) => childrenOf({ pid }),
  commandIn: unknown,
  commandOf,
  countThreads: unknown,
  cwdPathOf: () => process.cwd(),
  // A command whose environment has no PATH gets that of its parent.
  defaultPath: () => process.env.PATH ?? '',
  describeProcess,
  *eachPid() {
    yield* allPids()
  },
  environmentOf: unknown,
  environmentTextOf: unknown,
  findOrphanAdopter: async () => undefined,
  findProgram,
  findsProcessesByMark: false,
  folderOf,
  hasDefaultAction: () => true,
  // A detached process has no console, and each program that it starts opens a window.
  hasSessions: false,
  ignoresCase: true,
  isParentGone,
  isSetuid: () => true,
  kernelWaitOf: unknown,
  listsProcesses: true,
  listeningSocketsOf: () => [],
  listsOwnPids: () => true,
  loadNativeCalls: async () => new Error('Windows has none of them'),
  makeOwnFolder: () => {
    throw new Error('Windows needs none')
  },
  // The name of a pipe has at most 256 characters.
  maxSocketPathBytes: 256,
  neutralFolder: process.env.SystemRoot ?? tmpdir(),
  openFolderOf: (_pid, path) => ({ path, close: () => {} }),
  openRights: unknown,
  ownerOf: unknown,
  ownFolders: () => [],
  pidNamespace: () => '0',
  pidNamespaceOf: () => '0',
  pidsInNamespaces: (pid) => [pid],
  processorWaitOf: unknown,
  proportionalMemoryOf: unknown,
  protectedFirst: (places) => [...places],
  quickUsageOf,
  readAhead: undefined,
  removeFolder,
  scanLevel: 'tree',
  sharedFolders: [],
  shellCommand,
  signalByPid,
  socketOf,
  statOf,
  statOfOwnChild: statOf,
  supportsSignal,
  ticksNow: () => Date.now(),
  unknownBoot: '',
  usageOf: unknown,
  usageOfChildren: unknown,
  usersOf: unknown,
  usesNamedPipes: true,
  variableIn: unknown,
  whyNoProcessIsVisible: unknown,
  whyNoRelease(containment, isDirect) {
    if (isDirect) return 'Node.js ends what the worker has started itself with the worker (on Windows)'
    if (containment === 'job') return undefined
    return 'on Windows this needs the optional dependency koffi: without it, Node.js ends it with the keeper'
  },
  whyNoScopeLimits(containment) {
    if (containment === 'job') return undefined
    return 'leave it out, or install the optional dependency koffi: without it, no process can be looked at on Windows'
  },
  whyUnsupported: unknown,
  whyUnsupportedSystem: unknown
}
