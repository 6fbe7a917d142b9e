/** Guards with and without cgroups, and a bare cgroup. */

import { mkdirSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { createGuard, type Guard, type GuardOptions } from 'fastify-subprocess-guard'
import { ensure } from './benchmark.js'

/** Creates the first guard of this process, with a keeper at this level; undefined for that of the machine. */
export async function createGuardAt(
  level: 'cgroup' | 'subreaper' | undefined,
  options: GuardOptions
): Promise<Guard> {
  if (level !== undefined) process.env.SUBPROCESS_GUARD_CONTAINMENT = level
  const guard = await createGuard(options)
  ensure(level === undefined || guard.containment === level, `the level is ${guard.containment}`)
  return guard
}

/** Makes a cgroup below that of this process, and returns its directory. Throws where that is impossible. */
export function makeCgroup(): string {
  const folder = resolve(ownCgroup(), `benchmark.${process.pid}`)
  mkdirSync(folder)
  return folder
}

function ownCgroup(): string {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
  const [, mount] = /^\S+ \S+ \S+ \/ (\S+) .* - cgroup2 /m.exec(mounts) ?? []
  const [, path] = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8')) ?? []
  if (mount === undefined || path === undefined) throw new Error('no cgroup v2 is mounted')
  return resolve(mount, `.${path}`)
}
