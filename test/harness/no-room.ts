/** Runs a guard where no further process can start (RLIMIT_NPROC), as a user to whom that limit applies. */

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const entry = fileURLToPath(new URL('./no-room-main.js', import.meta.url))
const nobody = 65_534
const isRoot = process.getuid?.() === 0
// Root is exempt from the limit.
const user = isRoot ? { uid: nobody, gid: nobody } : {}
const longestMs = 60_000

/**
 * Which process cannot start: the keeper (`start`), a command of the keeper or of a direct
 * launch, or the successor of a lost keeper.
 */
export type NoRoomFor = 'start' | 'keeper' | 'direct' | 'successor'

export interface NoRoom {
  /** The error of a guard that could not start. */
  readonly error?: { readonly code: string; readonly message: string; readonly cause?: string }
  /**
   * The events of the command. With the keeper lost: the close reason
   * of the scope and how its processes ended.
   */
  readonly events?: readonly string[]
  /** Whether the guard could open a scope afterwards. */
  readonly isGuardOpen?: boolean
}

/** Why the limit cannot be set here; undefined if it can. */
export function whyNoLimit(): string | undefined {
  if (spawnSync('prlimit', ['--version']).status !== 0) return 'prlimit(1) of util-linux is missing'
  return isRoot ? whyNoOther() : undefined
}

/** Why a user other than root cannot run the tests' programs; undefined if one can. */
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
