/** Checks of a single argument or option of a command. Each throws a TypeError that names it. */

import { constants } from 'node:os'
import { SubprocessOptionError } from '../errors.js'
import { platform } from '../platform/current.js'

/** Node also accepts null for an option that is left out. */
export function isLeftOut(value: unknown): value is undefined | null {
  return value === undefined || value === null
}

/** A string without null bytes. */
export function checkedString(name: string, value: unknown, wayOut: string): string {
  if (typeof value === 'string' && !value.includes('\0')) return value
  throw new SubprocessOptionError(name, value, wayOut)
}

/** Throws a TypeError if the value is neither left out nor a boolean. */
export function checkBoolean(name: string, value: unknown): void {
  if (isLeftOut(value) || typeof value === 'boolean') return
  throw new SubprocessOptionError(name, value, 'give true or false')
}

/** A numeric user or group id; undefined if left out. */
export function userOrGroupId(name: string, value: unknown): number | undefined {
  if (isLeftOut(value)) return undefined
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 2_147_483_647)
    return value
  throw new SubprocessOptionError(name, value, 'give a numeric user or group id')
}

/** The name of a signal, given its name in any case or its number. */
export function signalName(name: string, signal: unknown): NodeJS.Signals {
  const given = typeof signal === 'string' ? signal.toUpperCase() : signal
  for (const [known, number] of Object.entries(constants.signals)) {
    if (known === given || number === given) return known as NodeJS.Signals
  }
  throw new SubprocessOptionError(name, signal, "give a signal's name or number, such as 'SIGTERM'")
}

/** Throws the error of `ChildProcess.kill` for a signal that Node.js cannot send on this system. */
export function refuseUnsupported(signal: NodeJS.Signals): void {
  if (platform.supportsSignal(signal)) return
  const error = new Error(`kill ENOSYS: this system has no ${signal}`)
  throw Object.assign(error, { errno: -constants.errno.ENOSYS, code: 'ENOSYS', syscall: 'kill' })
}
