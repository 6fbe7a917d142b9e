/** Orphans with a mark that the test chooses, and marks of workers that never existed. */

import { readFileSync, readlinkSync } from 'node:fs'
import type { TestContext } from 'node:test'
import { type Orphan, startOrphan } from './orphan.js'
import { statOf } from './proc.js'

const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
const namespace = readlinkSync('/proc/self/ns/pid').replace(/\D/g, '')
// The test runner gives each file its own realm.
const ownRealm = process.env.SUBPROCESS_GUARD_REALM ?? ''

export interface MarkParts {
  boot?: string
  namespace?: string
  pid?: number
  startTick?: string
  scope?: number
  realm?: string
}

// Above the highest pid of Linux (PID_MAX_LIMIT is 2^22), so no process has it.
const nobodysPid = 5_000_000

/** The mark of a scope of a dead worker, except for the given parts. */
export function markOf(parts: MarkParts = {}): string {
  const { boot = bootId, pid = nobodysPid, startTick = '1', scope = 1, realm = ownRealm } = parts
  const suffix = realm === '' ? '' : `~${realm}`
  return `${boot}.${parts.namespace ?? namespace}.${pid}.${startTick}${suffix}/${scope}`
}

/** The mark of a scope of an existing process. */
export function markOfProcess(pid: number, scope = 1): string {
  return markOf({ pid, startTick: statOf(pid)?.startTick as string, scope })
}

/** Starts a waiting orphan with that mark. It ends with the test at the latest. */
export function startMarked(t: Pick<TestContext, 'after'>, mark: string, user?: number): Promise<Orphan> {
  return startCommand(t, mark, ['sleep', '1000'], user)
}

/** The same for any command. */
export function startCommand(
  t: Pick<TestContext, 'after'>,
  mark: string,
  command: readonly [string, ...string[]],
  user?: number
): Promise<Orphan> {
  return startOrphan(t, command, { ...process.env, SUBPROCESS_GUARD_MARK: mark }, user)
}
