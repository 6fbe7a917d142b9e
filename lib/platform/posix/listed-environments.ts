/**
 * The environments of processes, as far as ps shows them: not those of other users, and on macOS not those of the programs
 * that belong to the system.
 */

import { statOf } from './listed-processes.js'
import { PsReading } from './ps-reading.js'

// Without the hyphen, 'e' means the environment everywhere.
const listEnvironments = ['axeww', '-o', 'pid=', '-o', 'command=']

/** By pid: the command line, with the environment behind it (macOS, Linux) or before it (BSD). */
export const environments = new PsReading(listEnvironments, (output) => {
  const texts = new Map<number, string>()
  for (const text of output.split('\n')) {
    const [, pid, rest = ''] = /^\s*(\d+)\s+(.*)$/.exec(text) ?? []
    texts.set(Number(pid), rest.trim())
  }
  return texts
})

/** The environment of a process, its entries separated by blanks. Undefined if hidden. */
export function environmentTextOf(pid: number): string | undefined {
  const text = environments.get().get(pid)
  const command = statOf(pid)?.command
  return text === undefined || command === undefined ? undefined : environmentIn(text, command)
}

/** The environment in a text that also has the command line. Undefined if there is none. */
export function environmentIn(text: string, command: string): string | undefined {
  if (text === command || command === '') return undefined
  if (text.startsWith(`${command} `)) return text.slice(command.length + 1)
  if (text.endsWith(` ${command}`)) return text.slice(0, -command.length - 1)
  // The process has become another program between the two readings.
  return text
}

/** The value of a variable in such a text, up to the first blank. */
export function variableIn(environmentText: string, name: string): string | undefined {
  const entry = ` ${name}=`
  const start = ` ${environmentText}`.lastIndexOf(entry)
  if (start === -1) return undefined
  const [value] = environmentText.slice(start + entry.length - 1).split(' ', 1)
  return value
}

/** The value of a variable in the environment of a process. Undefined if unset or hidden. */
export function environmentOf(pid: number, name: string): string | undefined {
  const text = environmentTextOf(pid)
  return text === undefined ? undefined : variableIn(text, name)
}
