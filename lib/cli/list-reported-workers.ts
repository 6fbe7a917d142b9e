/** Lists the workers whose keepers answer, on a system where processes cannot be found by their marks. */

import { readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { platform } from '../platform/current.js'
import { workerOfFolder } from '../wire/folder-names.js'
import type { ScopeStatus, WorkerStatus } from '../wire/worker-status.js'
import { askKeeperAt } from './ask-keeper.js'
import type { ShownScope, ShownWorker } from './shown-worker.js'

/** What only another process could tell is null: the command and the memory of a worker. */
export async function listReportedWorkers(): Promise<ShownWorker[]> {
  const answers = await Promise.all(keeperFolders().map((folder) => askKeeperAt(platform.socketOf(folder))))
  return answers
    .flatMap((answer) => (answer.type === 'answered' ? showWorker(answer.status) : []))
    .sort((one, other) => one.worker - other.worker)
}

/** The directories of keepers. That of a keeper that was killed stays until the next sweep. */
function keeperFolders(): string[] {
  const folder = tmpdir()
  return readdirSync(folder)
    .filter((name) => {
      const owner = workerOfFolder(name)
      return owner !== undefined && owner.scope === undefined
    })
    .map((name) => join(folder, name))
}

function showWorker({ worker, keeper, containment, scopes }: WorkerStatus): ShownWorker {
  const unknown = { command: null, memoryBytes: null, cpuMs: null, note: null, unscoped: [] }
  return { worker, state: 'running', keeper, containment, ...unknown, scopes: scopes.map(showScope) }
}

function showScope({ route, deadlineInMs, usage, ...status }: ScopeStatus): ShownScope {
  const { scope, state, openMs, processes } = status
  const known = { route: route ?? null, openMs, deadlineInMs: deadlineInMs ?? null, usage: usage ?? null }
  return { scope, state, ...known, processes }
}
