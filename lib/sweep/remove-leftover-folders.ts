/** Removes the directories of dead workers: those of their keepers' sockets, and those of their scopes. */

import { lstatSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { findMarkedProcesses } from '../containment/marked-processes.js'
import { isAlive } from '../containment/worker-liveness.js'
import { platform } from '../platform/current.js'
import { type FolderName, folderTagOf, otherUsersFolder, workerOfFolder } from '../wire/folder-names.js'
import { markName, scopeIn, workerIn } from '../wire/mark.js'

/**
 * Removes the directories of this user, boot and PID namespace whose worker is dead. Leaves those whose
 * keeper is alive and will remove them, and those of a scope whose mark a living process carries: a released
 * command or a server that was started in a scope may use them.
 */
export async function removeLeftoverFolders(): Promise<void> {
  // When the boot is unknown, the directory may be that of another machine.
  if (!platform.listsOwnPids() || platform.bootId() === platform.unknownBoot) return
  const leftovers = leftoverFolders()
  if (leftovers.size === 0) return
  const inUse = tagsInUse()
  // Scan twice: one scan may miss a process that is born during it.
  await turn()
  for (const tag of tagsInUse()) inUse.add(tag)
  for (const [path, { tag, scope }] of leftovers) {
    const scopeTag = `${tag}/${scope}`
    if (inUse.has(tag) || inUse.has(scopeTag) || isUsedByOtherUser(path, scopeTag)) continue
    // If it cannot be removed now, the next sweep tries again.
    await platform.removeFolder(path).catch(() => {})
  }
}

/** The tags of workers whose keepers are alive, and the tags of scopes whose marks a process carries. */
function tagsInUse(): Set<string> {
  const { marks, keepers, untrusted } = findMarkedProcesses()
  const tags = new Set([...keepers.values()].map(folderTagOf))
  for (const [pid, mark] of marks) {
    const scopeTag = scopeTagOf(mark)
    if (scopeTag !== undefined && !untrusted.has(pid)) tags.add(scopeTag)
  }
  return tags
}

/** Whether it is a directory for commands that run as another user, and such a command is alive. */
function isUsedByOtherUser(path: string, scopeTag: string): boolean {
  const inner = lstatSync(join(path, otherUsersFolder), { throwIfNoEntry: false })
  if (inner === undefined || inner.uid === process.geteuid?.()) return false
  return platform.allPids().some((pid) => {
    if (platform.ownerOf(pid) !== inner.uid) return false
    return scopeTagOf(platform.environmentOf(pid, markName) ?? '') === scopeTag
  })
}

/** The tag of the worker and the number of the scope; undefined when the text is not a mark. */
function scopeTagOf(mark: string): string | undefined {
  const worker = workerIn(mark)
  return worker === undefined ? undefined : `${folderTagOf(worker)}/${scopeIn(mark)}`
}

/** The directories of dead workers, by path. */
function leftoverFolders(): Map<string, FolderName> {
  const found = new Map<string, FolderName>()
  const parents = new Set([tmpdir(), '/tmp', '/dev/shm', process.env.XDG_RUNTIME_DIR ?? '/tmp'])
  for (const parent of parents) {
    for (const name of namesIn(parent)) {
      const folder = workerOfFolder(name)
      if (folder === undefined || isAlive(folder.worker)) continue
      const path = join(parent, name)
      const stat = lstatSync(path, { throwIfNoEntry: false })
      if (stat?.isDirectory() && stat.uid === (process.geteuid?.() ?? stat.uid)) found.set(path, folder)
    }
  }
  return found
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    // It does not exist, or this user may not read it.
    return []
  }
}
