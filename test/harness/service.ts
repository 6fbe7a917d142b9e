/** A service that starts programs with the environment that it is given: see `service-main.ts`. */

import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startOrphan } from './orphan.js'

const entry = fileURLToPath(new URL('./service-main.js', import.meta.url))

/** The command that starts a service, which is not started yet. */
export function serviceAt(t: Pick<TestContext, 'after'>): {
  readonly command: readonly [string, ...string[]]
  /** For the environment of its clients. */
  readonly env: NodeJS.ProcessEnv
} {
  const folder = mkdtempSync(join(tmpdir(), 'service-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const socket = join(folder, 'socket')
  return {
    command: [process.execPath, entry, socket],
    env: { SERVICE: socket, NODE: process.execPath }
  }
}

/** Starts a service without a supervisor. Resolves with the variables for the environment of its clients. */
export async function startService(t: Pick<TestContext, 'after'>): Promise<NodeJS.ProcessEnv> {
  const { command, env } = serviceAt(t)
  const service = await startOrphan(t, command, process.env)
  await once(service.stdout, 'data')
  return env
}
