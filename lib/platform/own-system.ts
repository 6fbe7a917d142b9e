/** Tells which implementation of the platform this process uses. */

export type System = 'linux' | 'posix' | 'windows'

/**
 * Chooses another implementation than that of this operating system. It is for tests: what is written for
 * macOS runs on Linux, too.
 */
const systemName = 'SUBPROCESS_GUARD_SYSTEM'
const systems: readonly System[] = ['linux', 'posix', 'windows']

/** @throws {Error} if the variable names no implementation. */
export function ownSystem(): System {
  const chosen = process.env[systemName]
  if (chosen === undefined) return systemOf(process.platform)
  const system = systems.find((name) => name === chosen)
  if (system !== undefined) return system
  throw new Error(
    `${systemName} is ${JSON.stringify(chosen)}: unset it, or set it to ${systems.join(' or ')}`
  )
}

function systemOf(name: NodeJS.Platform): System {
  if (name === 'linux') return name
  return name === 'win32' ? 'windows' : 'posix'
}
