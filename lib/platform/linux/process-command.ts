/** Reads the command line of a process. */

import type { ProcessStat } from '../platform.js'
import { shortCommand } from '../short-command.js'
import { readProc } from './read-proc.js'

/** The command line, for people. Without one it is `knownCommand`, or else the name in brackets. */
export function commandOf(stat: ProcessStat, knownCommand = bracketedNameOf(stat)): string {
  return commandIn(argumentTextOf(stat.pid)) ?? knownCommand
}

/**
 * The arguments, each with a NUL byte at its end. Undefined if hidden, empty if the process has released its
 * memory.
 */
export function argumentTextOf(pid: number): string | undefined {
  return readProc(`/proc/${pid}/cmdline`)
}

/** The command line in such a text, for people. Undefined if there is none. */
export function commandIn(argumentText: string | undefined): string | undefined {
  if (argumentText === undefined || argumentText === '') return undefined
  const text = Buffer.from(argumentText, 'latin1').toString('utf8')
  return shortCommand(text.replace(/\0+$/, '').replaceAll('\0', ' '))
}

/** The name in brackets, as ps(1) shows a process without a command line. */
export function bracketedNameOf({ name }: ProcessStat): string {
  return `[${name}]`
}
