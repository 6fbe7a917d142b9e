/** Tells which implementation of the platform this process uses. */

export type System = 'linux' | 'windows'

/**
 * Chooses another implementation than that of this operating system. It is for tests: what is written for
 * macOS runs on Linux, too.
 */
const systemName = 'SUBPROCESS_GUARD_SYSTEM'
const systems: readonly System[] = ['linux', 'windows']

/** @throws {Error} if the variable names no implementation. */
export function ownSystem(): System {
  const chosen = process.env[systemName]
  if (chosen === undefined) return process.platform === 'win32' ? 'windows' : 'linux'
  const system = systems.find((name) => name === chosen)
  if (system !== undefined) return system
  throw new Error(
    `${systemName} is ${JSON.stringify(chosen)}: unset it, or set it to ${systems.join(' or ')}`
  )
}
