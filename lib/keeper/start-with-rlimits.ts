/** Starts each process with the resource limits of its scope. */

import { platform } from '../platform/current.js'
import type { LaunchFailure } from '../wire/messages.js'
import type { StartInScope } from './process-starter.js'

export function startWithRlimits(startProcess: StartInScope): StartInScope {
  const { limiterOf } = platform
  return (request, events) => {
    const { scope, file, args, env, cwd } = request
    const { rlimits } = scope
    // A system without them: the guard has refused the option.
    if (rlimits === undefined || limiterOf === undefined) return startProcess(request, events)
    try {
      const limiter = limiterOf(
        { file, argv0: args[0] ?? file, env, cwd },
        // The keeper itself has seen to the rest.
        { rlimits, noNewPrivileges: false }
      )
      const limited = {
        ...request,
        file: limiter.file,
        args: [limiter.file, ...limiter.before, ...args.slice(1)]
      }
      return startProcess(limited, {
        // The user knows of no other program.
        failed: ({ message, ...failure }) =>
          events.failed({ ...failure, message: message.replace(limiter.file, () => file) }),
        exited: (code, signal, usage) => events.exited(code, signal, usage)
      })
    } catch (error) {
      if (!isLimitError(error)) throw error
      const { code, errno, message } = error
      events.failed({ code, errno, message })
      return undefined
    }
  }
}

function isLimitError(error: unknown): error is Required<LaunchFailure> {
  return error instanceof Error && 'errno' in error && 'code' in error
}
