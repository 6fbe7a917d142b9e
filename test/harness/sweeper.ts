/**
 * Runs a sweep in its own process: a sweep spares its own descendants, and
 * a test's workers must not be among them.
 */

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const entry = fileURLToPath(new URL('./sweep-main.js', import.meta.url))

/** The command line of a sweep that prints JSON. */
export const sweepCommandLine = [process.execPath, entry, '--json']

export interface SweptProcess {
  readonly pid: number
  readonly command: string
  readonly worker?: number
  /** How it was ended; undefined in a dry run. */
  readonly ended?: string
  readonly why?: string
}

export interface Swept {
  readonly status: number | null
  readonly processes: readonly SweptProcess[]
}

export interface SweepSetup {
  readonly dryRun?: boolean
  /** Options of Node. */
  readonly nodeFlags?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  /** A command line to which that of the sweep is appended. */
  readonly wrapper?: readonly string[]
}

export async function sweep(setup: SweepSetup = {}): Promise<Swept> {
  const { dryRun = false, wrapper = [], env, nodeFlags = [] } = setup
  const [node, ...args] = sweepCommandLine as [string, ...string[]]
  const command = [...wrapper, node, ...nodeFlags, ...args, ...(dryRun ? ['--dry-run'] : [])]
  const { status, stdout } = await run(command, env)
  return { status, processes: JSON.parse(stdout) }
}

/** Runs a command. Resolves with its exit status and output; rejects if it writes to standard error. */
export function run(
  command: readonly string[],
  env: NodeJS.ProcessEnv = {}
): Promise<{ status: number | null; stdout: string }> {
  const [file, ...args] = command
  return new Promise((resolve, reject) => {
    const child = execFile(
      file as string,
      args,
      { env: { ...process.env, ...env } },
      (_error, stdout, stderr) => {
        if (stderr === '') resolve({ status: child.exitCode, stdout })
        else reject(new Error(stderr))
      }
    )
    child.stdin?.end()
  })
}
