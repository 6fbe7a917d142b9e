/** Starts each command in a container of its own, on a system that has containers. */

import type { ContainerCensus } from '../containment/container-census.js'
import { commandNumberName, markName } from '../wire/mark.js'
import type { StartInScope } from './process-starter.js'

export function startInContainer(census: ContainerCensus): StartInScope {
  return (request, events) => {
    const { file, args, cwd, scope, mark, command, uid, gid } = request
    if (uid !== undefined || gid !== undefined) {
      // As Node on Windows.
      events.failed({ code: 'ENOTSUP', message: 'spawn ENOTSUP' })
      return undefined
    }
    const container = census.start(
      scope,
      command,
      {
        file,
        args,
        cwd,
        env: { ...request.env, [markName]: mark, [commandNumberName]: String(command) },
        stdio: request.stdio.map((stream) =>
          typeof stream === 'object' && 'descriptor' in stream ? stream.descriptor : (stream as 'inherit')
        ),
        windowsHide: request.windowsHide ?? false,
        windowsVerbatimArguments: request.windowsVerbatimArguments ?? false
      },
      events
    )
    if (container === undefined) return undefined
    return { pid: container.pid, kill: (signal) => container.killLeader(signal) }
  }
}
