/** The command `subprocess-guard`, run as a user does: in a process of its own, with no other program to be found. */

import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

/** The entry of the command. */
export const cli = fileURLToPath(new URL('../../../dist/cli/subprocess-guard.js', import.meta.url))

export interface CliSetup {
  env?: NodeJS.ProcessEnv
  /** Another entry than that of the package under test. */
  entry?: string
  /** What runs it, up to where node and its arguments follow. */
  via?: readonly string[]
  /** Whose rights it has: a user and the group of that number. Default: those of the test. */
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
    // Not even `ps`. What runs it needs to be found.
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
 * What runs a program in namespaces of its own, as its process 1 and with a /proc that shows no other process:
 * root is all that is needed, or user namespaces.
 */
export const inNamespaces: readonly string[] = [
  'unshare',
  ...(process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']),
  ...['--mount', '--pid', '--fork', '--kill-child', '--mount-proc']
]

/** Why there are none to be had here; undefined where there are. */
export function whyNoNamespaces(): string | undefined {
  const [file, ...args] = inNamespaces
  const { status } = spawnSync(file as string, [...args, 'true'])
  return status === 0 ? undefined : 'unshare(1) is missing, or this user may make no namespaces'
}
