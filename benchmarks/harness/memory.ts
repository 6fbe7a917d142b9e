/** The memory of a process, as the kernel counts it. */

import { readFileSync } from 'node:fs'

export interface Memory {
  /** What would be free if the process were not there. */
  readonly privateBytes: number
  /** That, and its share of what it has together with other processes, such as the code of Node. */
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
