/** Public exports. */

export type { CloseReason } from './close-reason.js'
export type { SpawnOptions, Stdio } from './command.js'
export { SubprocessError, type SubprocessErrorCode, SubprocessOptionError } from './errors.js'
export { default } from './fastify.js'
export type { Guard } from './guard.js'
export type { Containment, EndedProcess } from './keeper/protocol.js'
export type { RouteGuardOptions, SubprocessGuardOptions } from './options.js'
export type { Scope, ScopeReport } from './scope.js'
export type { Subprocess } from './subprocess.js'
