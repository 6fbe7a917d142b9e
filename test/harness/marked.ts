/** Processes with a mark of the test's making, and the marks of workers that there never were. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, readlinkSync } from 'node:fs'
import type { TestContext } from 'node:test'
import { statOf } from './proc.js'

const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
const namespace = readlinkSync('/proc/self/ns/pid').replace(/\D/g, '')
// The test runner gives each file a realm of its own.
const ownRealm = process.env.SUBPROCESS_GUARD_REALM ?? ''

export interface MarkParts {
  boot?: string
  namespace?: string
  pid?: number
  startTick?: string
  scope?: number
  realm?: string
}

// Above what Linux gives out (PID_MAX_LIMIT is 2^22): nobody ever has it.
const nobodysPid = 5_000_000

/** The mark of a scope of a worker that is dead, but for what is given. */
export function markOf(parts: MarkParts = {}): string {
  const { boot = bootId, pid = nobodysPid, startTick = '1', scope = 1, realm = ownRealm } = parts
  const suffix = realm === '' ? '' : `~${realm}`
  return `${boot}.${parts.namespace ?? namespace}.${pid}.${startTick}${suffix}/${scope}`
}

/** The mark of a scope of a process that there is. */
export function markOfProcess(pid: number, scope = 1): string {
  return markOf({ pid, startTick: statOf(pid)?.startTick as string, scope })
}

/** Starts a process that waits, in a session of its own, with that mark; it ends with the test at the latest. */
export function startMarked(t: TestContext, mark: string, user?: number): Promise<ChildProcess> {
  return startCommand(t, mark, ['sleep', '1000'], user)
}

export async function startCommand(
  t: TestContext,
  mark: string,
  [file, ...args]: readonly [string, ...string[]],
  user?: number
): Promise<ChildProcess> {
  const child = spawn(file, args, {
    detached: true,
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, SUBPROCESS_GUARD_MARK: mark },
    ...(user === undefined ? {} : { uid: user, gid: user })
  })
  t.after(() => child.kill('SIGKILL'))
  await once(child, 'spawn')
  return child
}
