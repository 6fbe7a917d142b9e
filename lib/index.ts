/** The public exports of the package. */

import { refuseInPlaceOfKeeper } from './link/refuse-as-keeper.js'

export { default } from './adapters/fastify.js'
export type { CloseReason } from './close-reason.js'
export type { CommandLimitOptions } from './command-limit-options.js'
export type { Containment } from './containment-level.js'
export { SubprocessError, type SubprocessErrorCode, SubprocessOptionError } from './errors.js'
export { createGuard, type GuardOptions } from './guard/create-guard.js'
export type { Guard } from './guard/guard.js'
export type { GuardLoad } from './guard/guard-load.js'
export type { GuardUsage } from './guard/guard-usage.js'
export type { JobOptions } from './guard/run-job.js'
export type { Scope } from './guard/scope.js'
export type { ScopeReport } from './guard/scope-report.js'
export type { Adoptable } from './guard/validate-adopted-process.js'
export type { Limits } from './limit-options.js'
export type { Logger } from './log.js'
export type { CaptureOptions, FirstSignalTo, RouteGuardOptions, SubprocessGuardOptions } from './options.js'
export type { ScopeProcess } from './platform/platform.js'
export type { Policy } from './policy-options.js'
export type { ProcessPriority } from './priority-options.js'
export type { Rlimits } from './rlimit-options.js'
export type { ExceededLimit, ScopeLimits } from './scope-limits.js'
export type { Output } from './subprocess/collect-output.js'
export type { CommandFailure } from './subprocess/command-failure.js'
export type { CommandStream } from './subprocess/command-stream.js'
export type { ExecError } from './subprocess/exec-error.js'
export type { ExecOptions } from './subprocess/exec-options.js'
export type { SubprocessUsage } from './subprocess/resource-usage.js'
export type { PromiseWithChild } from './subprocess/spawn-methods.js'
export type {
  ForkOptions,
  PrivateTmpOption,
  SpawnOptions,
  StdioEntry,
  StdioOption
} from './subprocess/spawn-options.js'
export type { Input } from './subprocess/stdin-input.js'
export type { StreamOptions } from './subprocess/stream-options.js'
export type { Subprocess, SubprocessOf } from './subprocess/subprocess.js'
export type { TerminationReport } from './subprocess/termination-report.js'
export type { EndedProcess, LeftFolder } from './wire/messages.js'
export type { UsageSummary } from './wire/usage.js'
export type { WorkerHooks, WorkerInfo, WorkerScope } from './wire/worker-info.js'

refuseInPlaceOfKeeper()
