/** Runs ps(1), with what the variants of macOS, BSD and Linux (procps) have in common. */

import { execFile, type SpawnSyncReturns, spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, isAbsolute, join } from 'node:path'
import { ProcessListError } from '../process-list-error.js'

// A ps that waits for something for ever must not stop the keeper. It takes 5 to 50 ms.
const timeoutMs = 10_000
const longestMs = 500
const maxBuffer = 1024 * 1024 * 1024

/** The usual places first: the server's PATH may name another program. */
const psPath = findPs()

/**
 * Without the environment of this process, whose mark would make ps one of its subprocesses. Times as in the C
 * locale and in UTC; texts in the encoding of this process.
 */
const environment = {
  LC_TIME: 'C',
  LC_CTYPE: process.env.LC_ALL || process.env.LC_CTYPE || process.env.LANG || 'C',
  TZ: 'UTC0'
}

let blockedMs = 0

/** How long this process has waited for ps, in ms. */
export function blockedByReadingMs(): number {
  return blockedMs
}

/** The output of ps. Throws a `ProcessListError` if it cannot be run. */
export function runPs(args: readonly string[]): string {
  const path = psPath
  if (path === undefined) throw missing()
  const startedAt = performance.now()
  const { error, stdout, stderr } = runOnce(path, args)
  // If it took longer, this process was probably paused meanwhile.
  blockedMs += Math.min(performance.now() - startedAt, longestMs)
  if (error !== undefined) throw failed(error)
  // The exit status tells nothing: it is 1 for a column that is unknown or may not be shown.
  if (stdout === '')
    throw new ProcessListError(`${path} shows nothing: ${firstLine(stderr) || 'no error either'}`)
  return stdout
}

/** The same without blocking the event loop. */
export function runPsAside(args: readonly string[]): Promise<string> {
  const path = psPath
  if (path === undefined) return Promise.reject(missing())
  return new Promise((resolve, reject) => {
    const options = {
      env: environment,
      cwd: '/',
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
      maxBuffer
    } as const
    execFile(path, args, options, (error, stdout) => {
      if (stdout === '') reject(failed(error ?? new Error('no output')))
      else resolve(stdout)
    })
  })
}

function runOnce(path: string, args: readonly string[]): SpawnSyncReturns<string> {
  return spawnSync(path, args, {
    encoding: 'utf8',
    env: environment,
    cwd: '/',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
    maxBuffer
  })
}

function missing(): ProcessListError {
  return new ProcessListError('ps is neither in /bin or /usr/bin nor in PATH', 'ENOENT')
}

function failed({ code, message }: NodeJS.ErrnoException): ProcessListError {
  return new ProcessListError(`ps cannot be run: ${code ?? firstLine(message)}`, code)
}

function firstLine(text: string): string {
  return text.trim().split('\n')[0] ?? ''
}

function findPs(): string | undefined {
  const folders = ['/bin', '/usr/bin', ...(process.env.PATH ?? '').split(delimiter).filter(isAbsolute)]
  return folders.map((folder) => join(folder, 'ps')).find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
