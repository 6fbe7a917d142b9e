/** Public exports. */

import { refuseInPlaceOfKeeper } from './keeper/impostor.js'

export type { Adoptable } from './adoptable.js'
export type { CloseReason } from './close-reason.js'
export type { ForkOptions, PrivateTmpOption, SpawnOptions, StdioEntry, StdioOption } from './command.js'
export type { CommandFailure, CommandStream, StreamOptions } from './command-stream.js'
export { SubprocessError, type SubprocessErrorCode, SubprocessOptionError } from './errors.js'
export type { ExecError, ExecOptions, Input, Output, PromiseWithChild } from './exec.js'
export { default } from './fastify.js'
export { createGuard, type Guard, type GuardOptions, type JobOptions } from './guard.js'
export type { Containment, EndedProcess, FirstSignalTo, LeftFolder } from './keeper/protocol.js'
export type { Logger } from './log.js'
export type { CaptureOptions, RouteGuardOptions, SubprocessGuardOptions } from './options.js'
export type { ScopeProcess } from './platform/linux.js'
export type { ScopeReport, TerminationReport } from './report.js'
export type { Scope } from './scope.js'
export type { Subprocess, SubprocessOf } from './subprocess.js'
export type { WorkerHooks, WorkerInfo, WorkerScope } from './worker-info.js'

refuseInPlaceOfKeeper()
