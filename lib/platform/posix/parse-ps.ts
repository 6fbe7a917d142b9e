/** The columns that are read of each process, and the reading of one line of them. */

import { basename } from 'node:path'
import type { ProcessStat } from '../platform.js'

/** A process as ps shows it. */
export interface ListedProcess extends ProcessStat {
  /** The command line. Empty if the process has none (any more). */
  readonly command: string
  readonly user: number
  readonly realUser: number
  readonly realGroup: number
}

// Each has an option of its own: after a '=', BSD takes the rest of the text for the header. There is no session, since
// macOS has no number for it, and no memory or processor time, which macOS may refuse to this process.
const columns = ['pid', 'ppid', 'pgid', 'uid', 'ruid', 'rgid', 'state', 'lstart', 'command']

/** All processes, one in each line. */
export const listProcesses = ['-A', '-ww', ...columns.flatMap((column) => ['-o', `${column}=`])]

const id = '\\s*(-?\\d+)'
// 'Mon Mar  3 10:11:12 2025', or '-' where BSD does not tell it.
const start = '(-|\\w+\\s+\\w+\\s+\\d+\\s+[\\d:]+\\s+\\d+)'
const line = new RegExp(`^${id.repeat(6)}\\s+(\\S+)\\s+${start}\\s*(.*)$`)
// A zombie, a process without arguments, and one that has released its memory: '[sh] <defunct>', '(sh)', '<defunct>'.
const noCommand = /^(?:[[(](.*?)[\])])?\s*(?:<defunct>)?$/

/** The processes in such a list. Lines of another form are left out. */
export function parseProcesses(list: string): ListedProcess[] {
  // Many processes have started in the same second.
  const startTicks = new Map<string, number>()
  return list.split('\n').flatMap((text) => {
    const fields = line.exec(text)
    if (fields === null) return []
    const [states = '', started = '', shown = ''] = fields.slice(7)
    const startTick = startTicks.get(started) ?? secondsOf(started)
    startTicks.set(started, startTick)
    return processOf(fields.slice(1, 7).map(Number), states, startTick, shown.trim())
  })
}

function processOf(ids: readonly number[], states: string, startTick: number, shown: string): ListedProcess {
  const [pid = 0, parent = 0, group = 0, user = -1, realUser = -1, realGroup = -1] = ids
  const bracketed = noCommand.exec(shown)
  const command = bracketed === null ? shown : ''
  const program = command.split(' ', 1)[0] ?? ''
  const state = stateOf(states)
  const alive = state !== 'Z' && state !== 'X'
  return {
    pid,
    // The name of a login shell begins with a hyphen.
    name: bracketed?.[1] ?? basename(program).replace(/^-/, ''),
    state,
    parent,
    group,
    // A group is within one session. Where sessions are unknown, each group counts as one.
    session: group,
    startTick,
    cpuTicks: 0,
    threads: 1,
    // Not the whole command line: some programs change the rest, to show what they do.
    image: program,
    alive,
    // E: it is exiting (macOS, BSD).
    ending: !alive || states.includes('E'),
    command,
    user,
    realUser,
    realGroup
  }
}

/** On macOS, U stands for D, and I for S when the process has slept for long. */
function stateOf(states: string): string {
  const [letter = '?'] = states
  return letter === 'U' ? 'D' : letter === 'I' ? 'S' : letter
}

/** In s since 1970; 0 if unknown. */
function secondsOf(started: string): number {
  const [, month, day, time, year] = started.split(/\s+/)
  return Date.parse(`${month} ${day} ${year} ${time} UTC`) / 1_000 || 0
}
