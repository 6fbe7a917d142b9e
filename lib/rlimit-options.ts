/** The option `limits.rlimits`: the resource limits of each command, as setrlimit(2) knows them. */

import { SubprocessOptionError } from './errors.js'
import { ownOf } from './validate-option.js'

/**
 * The resource limits of each command, under the names of prlimit(1). A command has each before its first instruction, as
 * soft and hard limit, and passes it on to what it starts. A limit that is left out is that of the guard. `false`: it is
 * that of the server.
 */
export interface Rlimits {
  /** Address space, in bytes. */
  as?: number | false
  /** Core file, in bytes. 0: none is written. */
  core?: number | false
  /** Processor time of each process, in seconds. A process that has used it gets SIGXCPU. */
  cpu?: number | false
  /** Heap and other private writable memory, in bytes. */
  data?: number | false
  /** The largest file that can be written, in bytes. A process that writes on gets SIGXFSZ. */
  fsize?: number | false
  /** File locks. No effect since Linux 2.4.25. */
  locks?: number | false
  /** Locked memory, in bytes. */
  memlock?: number | false
  /** POSIX message queues of the user, in bytes. */
  msgqueue?: number | false
  /** How far the nice value can be lowered: to 20 minus this. */
  nice?: number | false
  /** Open file descriptors of each process. */
  nofile?: number | false
  /** Processes and threads of the user, those of the server included. No effect for root. */
  nproc?: number | false
  /** Resident memory, in bytes. No effect since Linux 2.4.30. */
  rss?: number | false
  /** Real-time priority. */
  rtprio?: number | false
  /** Processor time without a pause at real-time priority, in microseconds. */
  rttime?: number | false
  /** Pending signals of the user. */
  sigpending?: number | false
  /** Stack of the main thread, in bytes. */
  stack?: number | false
}

/** The name of a resource limit. */
export type RlimitName = keyof Rlimits

/** The limits after validation: those that are set. */
export type ResolvedRlimits = Readonly<Partial<Record<RlimitName, number>>>

const names: readonly RlimitName[] = [
  'as',
  'core',
  'cpu',
  'data',
  'fsize',
  'locks',
  'memlock',
  'msgqueue',
  'nice',
  'nofile',
  'nproc',
  'rss',
  'rtprio',
  'rttime',
  'sigpending',
  'stack'
]

/** Validates the option of this name, and overrides `base` key by key. Undefined if there is no limit. */
export function rlimitsOf(
  option: string,
  value: unknown,
  base: ResolvedRlimits | undefined
): ResolvedRlimits | undefined {
  if (value === undefined) return base
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw new SubprocessOptionError(option, value, 'set it to an object such as { core: 0, nofile: 1024 }')
  }
  const limits: Partial<Record<RlimitName, number>> = { ...base }
  for (const [name, limit] of Object.entries(ownOf<Record<string, unknown>>(value as never))) {
    const known = names.find((one) => one === name)
    if (known === undefined) {
      const wayOut = `no such limit; the limits are ${names.join(', ')}`
      throw new SubprocessOptionError(`${option}.${name}`, limit, wayOut)
    }
    if (limit === false) delete limits[known]
    else if (limit !== undefined) limits[known] = limitOf(`${option}.${name}`, limit)
  }
  return Object.keys(limits).length === 0 ? undefined : limits
}

function limitOf(option: string, value: unknown): number {
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number
  const wayOut = 'set it to a whole number of 0 or more, or to false for the limit of the server'
  throw new SubprocessOptionError(option, value, wayOut)
}
