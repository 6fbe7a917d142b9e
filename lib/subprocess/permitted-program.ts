/** The keys `commands` and `shell` of a policy: which program may be started, and the path that was checked. */

import { randomUUID } from 'node:crypto'
import { basename, join } from 'node:path'
import { type ProgramToFind, platform } from '../platform/current.js'
import type { ResolvedPolicy } from '../policy-options.js'
import { allowedNames, forbidden } from './forbidden.js'
import { linkChain, locationOf } from './link-chain.js'
import { pathOf } from './permitted-environment.js'
import { resolveCwd } from './resolve-command.js'

const shells = new Set('sh bash dash ash ksh mksh zsh csh tcsh fish cmd powershell pwsh'.split(' '))

/** What starts the program, as an error names it. */
export type Starter = 'command' | 'shell' | 'fork'

/**
 * The path to start: that of the program, or one that leads nowhere if there is no such program. Throws
 * `ERR_SUBPROCESS_FORBIDDEN`.
 */
export function permittedProgram(policy: ResolvedPolicy, program: ProgramToFind, starter: Starter): string {
  const { commands } = policy
  const { file } = program
  const found = platform.findProgram(program)
  const chain = found === undefined ? [file] : linkChain(found)
  const listed = commands === undefined ? -1 : chain.findIndex((location) => isListed(location, commands))
  if (commands !== undefined && listed < 0) {
    throw forbidden(`${described(program, starter, found)}; policy.commands allows ${allowedNames(commands)}`)
  }
  // A listed file is not yet a listed shell: with busybox on the list, its link `sh` remains a shell.
  if (!policy.shell && chain.some(isShell) && !(listed >= 0 && chain.slice(listed).some(isShell))) {
    const wayOut = 'to allow it, list it in policy.commands'
    throw forbidden(`${described(program, starter, found)} is a shell, and policy.shell is false; ${wayOut}`)
  }
  // Not the name: a program of this name that appears in this moment was not checked.
  return found === undefined ? join(platform.neutralFolder, randomUUID()) : (chain[0] as string)
}

/** Whether the list has an entry with this location. A name that was not found is its own location. */
function isListed(location: string, commands: readonly string[]): boolean {
  const wanted = comparable(location)
  return commands.some((entry) => {
    if (comparable(entry) === wanted) return true
    // Spares most searches of the PATH. On Windows, the entry may lack the extension.
    if (!basename(wanted).startsWith(basename(comparable(entry)))) return false
    const path = platform.findProgram({ file: entry, cwd: resolveCwd(undefined), path: pathOf(process.env) })
    return path !== undefined && comparable(locationOf(path)) === wanted
  })
}

/** Lower-case everywhere: macOS may ignore the case of letters, and then `SH` is a shell, too. */
function isShell(location: string): boolean {
  return shells.has(basename(location.toLowerCase()).replace(/\.(?:exe|com)$/, ''))
}

function comparable(path: string): string {
  return platform.ignoresCase ? path.toLowerCase() : path
}

/** Never with arguments or the line for a shell: the message may be sent to a client. */
function described({ file }: ProgramToFind, starter: Starter, found: string | undefined): string {
  const name = JSON.stringify(file)
  const shown = found === undefined || found === file ? name : `${name} (${found})`
  switch (starter) {
    case 'command':
      return `the command ${shown}`
    case 'shell':
      return `the shell ${shown} of exec() or the option shell`
    case 'fork':
      return `the command ${shown}, which fork() starts as its execPath`
  }
}
