/** The memory of a process, from `/proc/PID/smaps_rollup`. */

import { readFileSync } from 'node:fs'

export interface Memory {
  /** What the end of the process would free. */
  readonly privateBytes: number
  /** That, plus its share of memory that it shares with other processes, such as the code of Node. */
  readonly proportionalBytes: number
}

export function memoryOf(pid: number): Memory {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  const bytesOf = (name: string): number => {
    const [, kibibytes] = new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(text) ?? []
    return Number(kibibytes) * 1_024
  }
  return {
    privateBytes: bytesOf('Private_Clean') + bytesOf('Private_Dirty'),
    proportionalBytes: bytesOf('Pss')
  }
}
