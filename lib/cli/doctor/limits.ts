/** The limits of this process, which a server that is started alike has too. */

import type { Finding } from './finding.js'
import { textOf } from './text-of.js'

// Of descriptors and of processes: what a busy server can need.
const roomyLimit = 1_024

/** A soft limit of this process (proc_pid_limits(5)); `Infinity` for none, undefined when it is not told. */
function limitOf(title: string): number | undefined {
  const line = textOf('/proc/self/limits')
    ?.split('\n')
    .find((one) => one.startsWith(title))
  const [soft] = line?.slice(title.length).trim().split(/\s+/) ?? []
  if (soft === undefined) return undefined
  return soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft)
}

export function findFiles(): Finding {
  const name = 'open files'
  const limit = limitOf('Max open files')
  if (limit === undefined) return { name, severity: 'note', says: 'The limit of open files is not told.' }
  const says =
    `A worker may have ${limit} descriptors: each connection takes one, and each piped stream of a command ` +
    'another.'
  if (limit >= roomyLimit) return { name, severity: 'ok', says }
  // Node has raised the soft limit to the hard one when it started.
  const toDo = 'Raise the hard limit: ulimit -Hn, LimitNOFILE= of systemd, --ulimit nofile= of Docker.'
  return { name, severity: 'note', says, toDo }
}

export function findProcessLimit(): Finding {
  const name = 'processes'
  const limit = limitOf('Max processes')
  if (limit === undefined) return { name, severity: 'note', says: 'The limit of processes is not told.' }
  if (limit === Number.POSITIVE_INFINITY) {
    return { name, severity: 'ok', says: 'This user may have any number of processes.' }
  }
  const says =
    `This user may have ${limit} processes and threads, all of its programs together; beyond that commands ` +
    'fail with EAGAIN.'
  if (limit >= roomyLimit) return { name, severity: 'ok', says }
  const toDo = 'Raise it: ulimit -u, LimitNPROC= of systemd, --ulimit nproc= of Docker.'
  return { name, severity: 'note', says, toDo }
}
