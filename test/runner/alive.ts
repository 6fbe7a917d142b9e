/** The living processes of one test file or of a whole run, daemons included. */

import { readdirSync, readlinkSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { argumentsOf, end, environmentOf, livingOf, statOf } from '../harness/proc.js'

/** How a process of a test is recognized. */
export interface Origin {
  /** The prefix of the realm in its environment. */
  readonly realm: string
  /**
   * The directory for its temporary files. A process without the
   * environment may still have a file open there.
   */
  readonly folder: string
  /** The session of the test file, if it has its own. */
  readonly session?: number
}

export interface Alive {
  readonly pid: number
  readonly command: string
}

// The kernel removes a killed process at once, unless it is in uninterruptible sleep.
const endedWithinMs = 10_000

/** All living processes of that origin except this one. */
export function aliveOf(origin: Origin): Alive[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid !== process.pid && isOf(pid, origin))
    .flatMap(livingOf)
    .map(({ pid }) => ({ pid, command: argumentsOf(pid).join(' ') }))
}

/** Waits until none is alive. Resolves with those that are still alive after `ms`. */
export async function aliveAfter(origin: Origin, ms: number): Promise<Alive[]> {
  const until = performance.now() + ms
  for (;;) {
    const alive = aliveOf(origin)
    if (alive.length === 0 || performance.now() > until) return alive
    await pause(20)
  }
}

/** Kills all of them by pid, including those that they start meanwhile. */
export async function endAll(origin: Origin): Promise<void> {
  const until = performance.now() + endedWithinMs
  for (let alive = aliveOf(origin); alive.length > 0; alive = aliveOf(origin)) {
    if (performance.now() > until) throw new Error(`cannot be ended: ${listOf(alive)}`)
    for (const { pid } of alive) end(pid)
    await pause(5)
  }
}

export function listOf(alive: readonly Alive[]): string {
  return alive.map(({ pid, command }) => `${pid} ${command}`).join('; ')
}

function isOf(pid: number, { realm, folder, session }: Origin): boolean {
  if (session !== undefined && statOf(pid)?.session === session) return true
  const prefix = `SUBPROCESS_GUARD_REALM=${realm}`
  if (environmentOf(pid).some((entry) => entry.startsWith(prefix))) return true
  return pathsOf(pid).some((path) => `${path}/`.startsWith(`${folder}/`))
}

/** The working directory and the open files of a process. */
function pathsOf(pid: number): string[] {
  const links = [`/proc/${pid}/cwd`]
  try {
    for (const name of readdirSync(`/proc/${pid}/fd`)) links.push(`/proc/${pid}/fd/${name}`)
  } catch {
    // It has ended, or belongs to another user.
  }
  return links.flatMap((link) => {
    try {
      return readlinkSync(link)
    } catch {
      return []
    }
  })
}
