/** How a shell runs a command line. */

import type { ShellCommand } from '../platform.js'

/** `shell` is the path of a shell; undefined for the one of this machine. */
export function shellCommand(line: string, shell = '/bin/sh'): ShellCommand {
  return { file: shell, args: ['-c', line] }
}
