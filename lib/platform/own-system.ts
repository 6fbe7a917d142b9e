/** Tells which implementation of the platform this process uses. */

export type System = 'linux' | 'posix'

/**
 * Chooses another implementation than that of this operating system. It is for tests: what is written for
 * macOS runs on Linux, too.
 */
const systemName = 'SUBPROCESS_GUARD_SYSTEM'
const systems: readonly System[] = ['linux', 'posix']

/** @throws {Error} if the variable names no implementation. */
export function ownSystem(): System {
  const chosen = process.env[systemName]
  if (chosen === undefined) return isUnlikeOthers(process.platform) ? 'linux' : 'posix'
  const system = systems.find((name) => name === chosen)
  if (system !== undefined) return system
  throw new Error(
    `${systemName} is ${JSON.stringify(chosen)}: unset it, or set it to ${systems.join(' or ')}`
  )
}

function isUnlikeOthers(name: NodeJS.Platform): boolean {
  return name === 'linux' || name === 'win32'
}
