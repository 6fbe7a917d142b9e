/** Runs a guard where there is no room for another process (RLIMIT_NPROC), as a user to whom that limit applies. */

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const entry = fileURLToPath(new URL('./no-room-main.js', import.meta.url))
const nobody = 65_534
const isRoot = process.getuid?.() === 0
// Root is exempt from the limit.
const user = isRoot ? { uid: nobody, gid: nobody } : {}
const longestMs = 60_000

/** Where the room ends: before the keeper, before a command that the keeper or the worker itself starts, or before a lost keeper's successor. */
export type NoRoomFor = 'start' | 'keeper' | 'direct' | 'successor'

export interface NoRoom {
  /** Why there is no guard. */
  readonly error?: { readonly code: string; readonly message: string; readonly cause?: string }
  /** What became of the command; with the keeper lost, of the scope and its processes. */
  readonly events?: readonly string[]
  /** Whether the guard could still open a scope afterwards. */
  readonly isGuardOpen?: boolean
}

/** Why there can be no such limit here; undefined where there can. */
export function whyNoLimit(): string | undefined {
  if (spawnSync('prlimit', ['--version']).status !== 0) return 'prlimit(1) of util-linux is missing'
  return isRoot ? whyNoOther() : undefined
}

/** Why another user than root cannot run the tests' programs; undefined where one can. */
export function whyNoOther(): string | undefined {
  const other = { uid: nobody, gid: nobody }
  if (spawnSync('test', ['-r', entry], other).status !== 0) return 'other users cannot read the tests'
  if (spawnSync(process.execPath, ['--version'], other).status !== 0)
    return 'other users cannot run this Node'
  return undefined
}

export function runNoRoom(what: NoRoomFor, launch: 'keeper' | 'direct' = 'keeper'): NoRoom {
  const options = { ...user, cwd: '/', encoding: 'utf8', timeout: longestMs } as const
  const { stdout, stderr } = spawnSync(process.execPath, [entry, what, launch], options)
  try {
    return JSON.parse(stdout)
  } catch (error) {
    throw new Error(`it said nothing: ${stderr}`, { cause: error })
  }
}
