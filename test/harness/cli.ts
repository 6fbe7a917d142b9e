/**
 * Runs the command `subprocess-guard` as a user does: in its own process, with no other program in the PATH.
 */

import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

/** The entry of the command. */
export const cli = fileURLToPath(new URL('../../../dist/cli/subprocess-guard.js', import.meta.url))

export interface CliSetup {
  env?: NodeJS.ProcessEnv
  /** Another entry file than that of the package under test. */
  entry?: string
  /** The command line that runs it, to which node and its arguments are appended. */
  via?: readonly string[]
  /** The uid and gid it runs with. Default: those of the test. */
  user?: number
}

export interface CliResult {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

export type RunningCli = ChildProcessByStdio<null, Readable, Readable>

export function startCli(
  args: readonly string[],
  { env, entry = cli, via = [], user }: CliSetup = {}
): RunningCli {
  const [file, ...rest] = [...via, process.execPath, entry, ...args]
  return spawn(file as string, rest, {
    // Not even `ps` is found. With `via`, that program has to be.
    env: { ...process.env, ...(via.length === 0 ? { PATH: '/nonexistent' } : {}), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(user === undefined ? {} : { uid: user, gid: user })
  })
}

/** Runs the command to its end. */
export async function runCli(args: readonly string[], setup?: CliSetup): Promise<CliResult> {
  const child = startCli(args, setup)
  const closed = once(child, 'close')
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  const [status] = await closed
  return { status, stdout, stderr }
}

/**
 * A command line that runs a program in its own namespaces, as process 1 and with a /proc that shows no other
 * process. It needs root or user namespaces.
 */
export const inNamespaces: readonly string[] = [
  'unshare',
  ...(process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']),
  ...['--mount', '--pid', '--fork', '--kill-child', '--mount-proc']
]

/** Why namespaces are unavailable here; undefined if they are available. */
export function whyNoNamespaces(): string | undefined {
  const [file, ...args] = inNamespaces
  const { status } = spawnSync(file as string, [...args, 'true'])
  return status === 0 ? undefined : 'unshare(1) is missing, or this user may make no namespaces'
}
