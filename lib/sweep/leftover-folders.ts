/** The folders that dead workers have left: of their keepers' sockets, and of their scopes. */

import { lstatSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { lookForMarks } from '../containment/marked-processes.js'
import { isAlive } from '../containment/worker-liveness.js'
import {
  allPids,
  bootId,
  environmentOf,
  isOwnProc,
  ownerOf,
  removeFolder,
  unknownBoot
} from '../platform/current.js'
import { type FolderName, folderTagOf, otherUsersFolder, workerOfFolder } from '../wire/folder-names.js'
import { markName, scopeIn, workerIn } from '../wire/mark.js'

/**
 * Removes those of this user, boot and PID namespace whose worker is dead, that have no keeper which is about to do it, and
 * whose scope nothing living carries the mark of: what was released, or a server that was started in a scope, may use them.
 */
export async function removeLeftFolders(): Promise<void> {
  // Where the boot cannot be known, folders of another machine cannot be told.
  if (!isOwnProc() || bootId() === unknownBoot) return
  const left = leftFolders()
  if (left.size === 0) return
  const inUse = usedFolders()
  // Two looks: one may miss a process that is born during it.
  await turn()
  for (const used of usedFolders()) inUse.add(used)
  for (const [path, { tag, scope }] of left) {
    if (inUse.has(tag) || inUse.has(`${tag}/${scope}`) || isUsedByAnother(path, `${tag}/${scope}`)) continue
    // One that cannot be removed now is found by the next sweep.
    await removeFolder(path).catch(() => {})
  }
}

/** The tags of workers whose keepers live, and with a number those of marks that somebody carries. */
function usedFolders(): Set<string> {
  const { marks, keepers, strangers } = lookForMarks()
  const used = new Set([...keepers.values()].map(folderTagOf))
  for (const [pid, mark] of marks) {
    const scope = scopeTagOf(mark)
    if (scope !== undefined && !strangers.has(pid)) used.add(scope)
  }
  return used
}

/** Whether it is for the commands of another user, of which one lives. */
function isUsedByAnother(path: string, scope: string): boolean {
  const inner = lstatSync(join(path, otherUsersFolder), { throwIfNoEntry: false })
  if (inner === undefined || inner.uid === process.geteuid?.()) return false
  return allPids().some((pid) => {
    if (ownerOf(pid) !== inner.uid) return false
    return scopeTagOf(environmentOf(pid, markName) ?? '') === scope
  })
}

/** What names the scope of a mark as folders do: the tag of the worker, and the number. Undefined for what is no mark. */
function scopeTagOf(mark: string): string | undefined {
  const worker = workerIn(mark)
  return worker === undefined ? undefined : `${folderTagOf(worker)}/${scopeIn(mark)}`
}

/** The names of all that are left, by path. */
function leftFolders(): Map<string, FolderName> {
  const found = new Map<string, FolderName>()
  const parents = new Set([tmpdir(), '/tmp', '/dev/shm', process.env.XDG_RUNTIME_DIR ?? '/tmp'])
  for (const parent of parents) {
    for (const name of namesIn(parent)) {
      const folder = workerOfFolder(name)
      if (folder === undefined || isAlive(folder.worker)) continue
      const path = join(parent, name)
      const stat = lstatSync(path, { throwIfNoEntry: false })
      if (stat?.isDirectory() && stat.uid === process.geteuid?.()) found.set(path, folder)
    }
  }
  return found
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    // There is none, or it is not for this user to read.
    return []
  }
}
