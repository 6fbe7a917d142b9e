/** The operating system that this process runs on: everything outside this folder asks here. */

export { ticksNow } from './linux/boot-clock.js'
export type { InNewGroup } from './linux/new-group.js'
export { numbersOf, pidNamespaceOf } from './linux/pid-namespace.js'
export type { PosixSpawn } from './linux/posix-spawn.js'
export * from './linux/proc.js'
export { canLose, Rights } from './linux/process-rights.js'
export { removeFolder } from './linux/remove-folder.js'
export { type Libc, loadLibc, signalByNumber } from './linux/system-calls.js'
export { parentOfOrphans } from './posix/orphan-trial.js'
export { makeOwnFolder, ownFolders, shieldedFirst, squattedLine } from './posix/own-folder.js'
export { namesSetsid } from './posix/setsid-commands.js'
export { whyNoNode } from './runtime.js'
