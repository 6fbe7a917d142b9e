/** How a shell runs a command line on Windows, as Node.js does it. */

import type { ShellCommand } from '../platform.js'

/** `shell` is the path of a shell; undefined for the one of this machine. */
export function shellCommand(line: string, shell = process.env.ComSpec || 'cmd.exe'): ShellCommand {
  const isCmd = /^(?:.*\\)?cmd(?:\.exe)?$/i.test(shell)
  if (!isCmd) return { file: shell, args: ['-c', line] }
  // cmd.exe reads the line by rules of its own: it must not be quoted for other programs.
  return { file: shell, args: ['/d', '/s', '/c', `"${line}"`], isVerbatim: true }
}
