/** The option `priority`: how the system ranks the processes of a scope against the server. */

import { SubprocessOptionError } from './errors.js'
import { ownOf, refuseUnknown } from './validate-option.js'

/** How the system ranks the processes of a scope. A key that is left out is that of the guard. */
export interface ProcessPriority {
  /**
   * Nice value, from 0 to 19: the higher, the less processor time they get while others want some. It is set right after
   * the start of a command. Default: that of the server.
   */
  nice?: number
  /**
   * I/O scheduling class, on Linux with the optional dependency. `'idle'`: they use a disk only while nobody else does.
   * `'best-effort'`: they use it by `ioLevel`. Default: that of the server.
   */
  ioClass?: 'best-effort' | 'idle'
  /** Level in the class `'best-effort'`, from 0 (first) to 7 (last). Default 4. */
  ioLevel?: number
  /**
   * On Linux, what is added to their share of the memory when the kernel looks for a process to kill because memory is
   * full, in thousandths: from 0 to 1000. A process that has a higher value keeps it. Default 500: the kernel kills them
   * before the server.
   */
  oomScoreAdj?: number
}

/** A class of I/O scheduling, and the level in it. */
export interface IoPriority {
  readonly class: 'best-effort' | 'idle'
  readonly level: number
}

/** The priority after validation. */
export interface ResolvedPriority {
  readonly oomScoreAdj: number
  /** A value that nobody asked for is not missed where it cannot be set. */
  readonly isOomScoreAdjGiven: boolean
  /** Undefined for that of the server, as `io`. */
  readonly nice?: number | undefined
  readonly io?: IoPriority | undefined
}

export const defaultPriority: ResolvedPriority = { oomScoreAdj: 500, isOomScoreAdjGiven: false }

const names = ['nice', 'ioClass', 'ioLevel', 'oomScoreAdj']
const middleLevel = 4

/** Validates the option of this name, and overrides `base` key by key. */
export function priorityOf(option: string, value: unknown, base: ResolvedPriority): ResolvedPriority {
  if (value === undefined) return base
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw new SubprocessOptionError(
      option,
      value,
      'set it to an object such as { nice: 5, oomScoreAdj: 500 }'
    )
  }
  refuseUnknown(value, names, `${option}.`)
  const { nice, ioClass, ioLevel, oomScoreAdj } = ownOf<{ [Name in keyof ProcessPriority]: unknown }>(value)
  return {
    oomScoreAdj:
      oomScoreAdj === undefined ? base.oomScoreAdj : integer(`${option}.oomScoreAdj`, oomScoreAdj, 1_000),
    isOomScoreAdjGiven: oomScoreAdj !== undefined || base.isOomScoreAdjGiven,
    nice: nice === undefined ? base.nice : integer(`${option}.nice`, nice, 19),
    io: ioPriorityOf(option, ioClass, ioLevel, base.io)
  }
}

function ioPriorityOf(
  option: string,
  ioClass: unknown,
  ioLevel: unknown,
  base: IoPriority | undefined
): IoPriority | undefined {
  if (ioClass !== undefined && ioClass !== 'best-effort' && ioClass !== 'idle') {
    throw new SubprocessOptionError(`${option}.ioClass`, ioClass, "set it to 'best-effort' or 'idle'")
  }
  if (ioLevel !== undefined) {
    const level = integer(`${option}.ioLevel`, ioLevel, 7)
    if (ioClass !== 'idle') return { class: 'best-effort', level }
    throw new SubprocessOptionError(
      `${option}.ioLevel`,
      ioLevel,
      "leave it out: the class 'idle' has no levels"
    )
  }
  if (ioClass === undefined || ioClass === base?.class) return base
  return { class: ioClass, level: ioClass === 'idle' ? 0 : middleLevel }
}

function integer(option: string, value: unknown, most: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most) return value
  throw new SubprocessOptionError(option, value, `set it to a whole number from 0 to ${most}`)
}
