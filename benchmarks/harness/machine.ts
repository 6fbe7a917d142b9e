/** Describes the machine of a result. */

import { cpus, release, totalmem } from 'node:os'

export interface Machine {
  readonly node: string
  readonly kernel: string
  readonly processor: string
  readonly cores: number
  readonly memoryGiB: number
}

export function thisMachine(): Machine {
  const all = cpus()
  return {
    node: process.version,
    kernel: `Linux ${release()}`,
    processor: all[0]?.model.trim() || process.arch,
    cores: all.length,
    memoryGiB: Math.round(totalmem() / 1024 ** 3)
  }
}

export function describe({ node, kernel, processor, cores, memoryGiB }: Machine): string {
  return `${processor}, ${cores} cores, ${memoryGiB} GiB, ${kernel}, Node ${node}`
}
