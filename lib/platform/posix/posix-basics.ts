/** What all POSIX systems have in common. */

import { dirname, join } from 'node:path'
import type { Platform } from '../platform.js'
import { shellCommand } from './shell-command.js'

type Common =
  | 'countThreads'
  | 'proportionalMemoryOf'
  | 'findsProcessesByMark'
  | 'folderOf'
  | 'hasSessions'
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

export const posixBasics: Pick<Platform, Common> = {
  canPassOn: () => true,
  countThreads: () => undefined,
  findsProcessesByMark: true,
  folderOf: dirname,
  hasSessions: true,
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
  whyNoRelease: () => undefined
}
