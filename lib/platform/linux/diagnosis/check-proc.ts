/** Checks what `/proc` hides from this user. */

import type { Finding } from '../../platform.js'
import { listMounts } from '../list-mounts.js'
import { statOf } from '../process-stat.js'
import { readText } from './read-system-file.js'

// The values of hidepid by name (proc(5)), and by number as older kernels show them.
const hiding: Record<string, string> = {
  1: 'cannot be read',
  noaccess: 'cannot be read',
  2: 'is not shown',
  invisible: 'is not shown',
  4: 'is not shown',
  ptraceable: 'is not shown'
}

const toDo = 'Mount /proc without this option, unless something is meant to be hidden.'

export function checkProc(): Finding {
  const name = '/proc'
  if (statOf(process.pid) === undefined) {
    const says = 'No /proc is mounted: the guard finds no process.'
    return { name, severity: 'problem', says, toDo: 'Mount it: mount -t proc proc /proc.' }
  }
  const options = listMounts().findLast(({ path }) => path === '/proc')?.options ?? []
  const hidepid = settingOf('hidepid', options)
  const hidden = hiding[hidepid ?? '']
  if (hidden !== undefined && !mayTraceAll()) {
    const says =
      `hidepid=${hidepid}: what another user runs ${hidden}. A command that changes its user is found by ` +
      'its parents and not by its mark, and ps does not show it.'
    return { name, severity: 'note', says, toDo }
  }
  if (settingOf('subset', options) === 'pid') {
    const says =
      'subset=pid: /proc shows processes and nothing else. Marks do not name the boot then, and the age of ' +
      'a process is unknown.'
    return { name, severity: 'note', says, toDo }
  }
  const despite = hidden === undefined ? '' : `, despite hidepid=${hidepid}`
  return { name, severity: 'ok', says: `/proc hides nothing from this user${despite}.` }
}

function settingOf(name: string, options: readonly string[]): string | undefined {
  return options.find((option) => option.startsWith(`${name}=`))?.slice(name.length + 1)
}

/**
 * Whether this process has CAP_SYS_PTRACE: hidepid does not apply to it then. In most containers root does
 * not have it.
 */
function mayTraceAll(): boolean {
  const [, mask = '0'] = /^CapEff:\s+([0-9a-f]+)$/m.exec(readText('/proc/self/status') ?? '') ?? []
  return ((BigInt(`0x${mask}`) >> 19n) & 1n) === 1n
}
