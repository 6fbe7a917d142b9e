/** The hard limits of this process (proc_pid_limits(5)). */

import type { RlimitName } from '../../rlimit-options.js'
import { readProc } from './read-proc.js'

const labels: Readonly<Record<RlimitName, string>> = {
  as: 'address space',
  core: 'core file size',
  cpu: 'cpu time',
  data: 'data size',
  fsize: 'file size',
  locks: 'file locks',
  memlock: 'locked memory',
  msgqueue: 'msgqueue size',
  nice: 'nice priority',
  nofile: 'open files',
  nproc: 'processes',
  rss: 'resident set',
  rtprio: 'realtime priority',
  rttime: 'realtime timeout',
  sigpending: 'pending signals',
  stack: 'stack size'
}

/** Returns a function that tells the hard limit of this process; `Infinity` if it has none or hides it. */
export function readHardLimits(): (name: RlimitName) => number {
  const text = readProc('/proc/self/limits') ?? ''
  return (name) => {
    const [, hard] = new RegExp(`^Max ${labels[name]} +\\S+ +(\\d+) `, 'm').exec(text) ?? []
    return hard === undefined ? Number.POSITIVE_INFINITY : Number(hard)
  }
}
