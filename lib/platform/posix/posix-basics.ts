/** What all POSIX systems have in common. */

import { dirname, join } from 'node:path'
import type { Platform } from '../platform.js'
import { findProgram } from './find-posix-program.js'
import { shellCommand } from './shell-command.js'

type Common =
  | 'canDenyPrivileges'
  | 'countThreads'
  | 'proportionalMemoryOf'
  | 'findProgram'
  | 'findsProcessesByMark'
  | 'folderOf'
  | 'hasSessions'
  | 'ignoresCase'
  | 'isParentGone'
  | 'canPassOn'
  | 'neutralFolder'
  | 'shellCommand'
  | 'socketOf'
  | 'supportsSignal'
  | 'usageOf'
  | 'usageOfChildren'
  | 'usesNamedPipes'
  | 'whyNoRelease'
  | 'whyNoScopeLimits'

export const posixBasics: Pick<Platform, Common> = {
  canDenyPrivileges: false,
  canPassOn: () => true,
  countThreads: () => undefined,
  findProgram,
  findsProcessesByMark: true,
  folderOf: dirname,
  hasSessions: true,
  // macOS may ignore it, too, but then two spellings of a path only look like two files.
  ignoresCase: false,
  // The kernel gives an orphan another parent.
  isParentGone: (parent) => process.ppid !== parent,
  neutralFolder: '/',
  proportionalMemoryOf: () => undefined,
  shellCommand,
  socketOf: (folder) => join(folder, 'stdio'),
  supportsSignal: () => true,
  usageOf: () => undefined,
  usageOfChildren: () => undefined,
  usesNamedPipes: false,
  whyNoRelease: () => undefined,
  whyNoScopeLimits: () => undefined
}
