/** Every way in which a command can be started, for laws that must hold in each of them. */

import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { createGuard, type GuardOptions, type Scope, type SpawnOptions } from 'fastify-subprocess-guard'
import { whyNoCgroups } from './cgroups.js'
import { Guarded } from './guarded.js'
import { isTreeLevel } from './level.js'
import { installWithoutKoffi } from './without-koffi.js'

const variable = 'SUBPROCESS_GUARD_CONTAINMENT'

export interface StartWay {
  readonly skip: string | false
  readonly start: (options?: GuardOptions) => Promise<Guarded>
}

/** Each starts a guard of its own. `keeper` is the usual one. */
export const startWays: Readonly<Record<'keeper' | 'direct' | 'marks' | 'cgroup', StartWay>> = {
  keeper: { skip: false, start: (options) => Guarded.start(options) },
  direct: { skip: false, start: (options) => Guarded.start({ launch: 'direct', ...options }) },
  marks: {
    skip: false,
    async start(options) {
      const installed = await installWithoutKoffi()
      try {
        return await Guarded.start(options, installed.createGuard)
      } finally {
        installed.remove()
      }
    }
  },
  cgroup: {
    skip: isTreeLevel ? 'the containment level is "tree"' : whyNoCgroups(),
    async start(options) {
      const before = process.env[variable]
      process.env[variable] = 'cgroup'
      try {
        return await Guarded.start({ containment: 'cgroup', ...options }, createGuard)
      } finally {
        if (before === undefined) delete process.env[variable]
        else process.env[variable] = before
      }
    }
  }
}

/**
 * What a shell says that runs this script, once the keeper knows the process: it has given it a priority by then, even
 * if the worker has started it.
 */
export async function saidBy(scope: Scope, script: string, options: SpawnOptions = {}): Promise<string[]> {
  return saidByCommand(scope, ['sh', '-c', `read go; ${script}`], options)
}

/** The same for any command that reads a line first. */
export async function saidByCommand(
  scope: Scope,
  [file = '', ...args]: readonly string[],
  options: SpawnOptions = {}
): Promise<string[]> {
  const child = scope.spawn(file, args, { ...options, stdio: ['pipe', 'pipe', 'inherit'] })
  await once(child, 'spawn')
  await scope.list()
  child.stdin.end('go\n')
  return (await text(child.stdout)).trimEnd().split('\n')
}
