/** Checks the resource limits of this process. A server that is started the same way has the same limits. */

import type { Finding } from '../../platform.js'
import { readText } from './read-system-file.js'

// What a busy server may need, of descriptors as of processes.
const recommendedLimit = 1_024

/**
 * A soft limit of this process (proc_pid_limits(5)). `Infinity` if there is no limit, undefined if it is
 * unknown.
 */
function softLimit(title: string): number | undefined {
  const line = readText('/proc/self/limits')
    ?.split('\n')
    .find((one) => one.startsWith(title))
  const [soft] = line?.slice(title.length).trim().split(/\s+/) ?? []
  if (soft === undefined) return undefined
  return soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft)
}

export function checkOpenFiles(): Finding {
  const name = 'open files'
  const limit = softLimit('Max open files')
  if (limit === undefined) return { name, severity: 'note', says: 'The limit of open files is unknown.' }
  const says =
    `A worker may have ${limit} descriptors: each connection takes one, and each piped stream of a command ` +
    'another.'
  if (limit >= recommendedLimit) return { name, severity: 'ok', says }
  // Node raises the soft limit to the hard limit when it starts.
  const toDo = 'Raise the hard limit: ulimit -Hn, LimitNOFILE= of systemd, --ulimit nofile= of Docker.'
  return { name, severity: 'note', says, toDo }
}

export function checkProcessLimit(): Finding {
  const name = 'processes'
  const limit = softLimit('Max processes')
  if (limit === undefined) return { name, severity: 'note', says: 'The limit of processes is unknown.' }
  if (limit === Number.POSITIVE_INFINITY) {
    return { name, severity: 'ok', says: 'This user may have any number of processes.' }
  }
  const says =
    `This user may have ${limit} processes and threads, all of its programs together; beyond that commands ` +
    'fail with EAGAIN.'
  if (limit >= recommendedLimit) return { name, severity: 'ok', says }
  const toDo = 'Raise it: ulimit -u, LimitNPROC= of systemd, --ulimit nproc= of Docker.'
  return { name, severity: 'note', says, toDo }
}
