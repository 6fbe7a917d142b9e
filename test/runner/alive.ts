/** The processes that come from one run of a test file, or from a whole run, however far they have gone from it. */

import { readdirSync, readlinkSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { argumentsOf, end, environmentOf, livingOf, statOf } from '../harness/proc.js'

/** How a process of a test is known. */
export interface Origin {
  /** What the realm in its environment begins with. */
  readonly realm: string
  /** The folder for its temporary files: a process without the environment may still have a file open there. */
  readonly folder: string
  /** The session of the test file, where it has one of its own. */
  readonly session?: number
}

export interface Alive {
  readonly pid: number
  readonly command: string
}

// The kernel removes a killed process at once, unless it is in uninterruptible sleep.
const endedWithinMs = 10_000

/** Every living process of that origin but this one. */
export function aliveOf(origin: Origin): Alive[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid !== process.pid && isOf(pid, origin))
    .flatMap(livingOf)
    .map(({ pid }) => ({ pid, command: argumentsOf(pid).join(' ') }))
}

/** Waits until none is alive. Resolves with those that are after `ms`. */
export async function aliveAfter(origin: Origin, ms: number): Promise<Alive[]> {
  const until = performance.now() + ms
  for (;;) {
    const alive = aliveOf(origin)
    if (alive.length === 0 || performance.now() > until) return alive
    await pause(20)
  }
}

/** Kills all of them, by pid, and what they start meanwhile. */
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

/** Its working directory and the files that it has open. */
function pathsOf(pid: number): string[] {
  const links = [`/proc/${pid}/cwd`]
  try {
    for (const name of readdirSync(`/proc/${pid}/fd`)) links.push(`/proc/${pid}/fd/${name}`)
  } catch {
    // It has ended, or is another user's.
  }
  return links.flatMap((link) => {
    try {
      return readlinkSync(link)
    } catch {
      return []
    }
  })
}
