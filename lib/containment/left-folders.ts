/** The folders that dead workers have left: of their keepers' sockets, and of their scopes. */

import { lstatSync, readdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { folderTagOf, workerOfFolder } from '../mark.js'
import { isOwnProc } from '../platform/linux.js'
import { lookForMarks } from './marked.js'
import { isAlive, isOfHere } from './worker-life.js'

/** Removes those of this user whose worker is dead, and has no keeper that is about to do it. */
export async function removeLeftFolders(): Promise<void> {
  if (!isOwnProc()) return
  const left = leftFolders()
  if (left.size === 0) return
  const kept = new Set([...lookForMarks().keepers.values()].map(folderTagOf))
  for (const [path, tag] of left) {
    if (kept.has(tag)) continue
    // One that cannot be removed now is found by the next sweep.
    await rm(path, { recursive: true, force: true }).catch(() => {})
  }
}

/** What names the worker of each, by path. */
function leftFolders(): Map<string, string> {
  const found = new Map<string, string>()
  const parents = new Set([tmpdir(), '/tmp', '/dev/shm', process.env.XDG_RUNTIME_DIR ?? '/tmp'])
  for (const parent of parents) {
    for (const name of namesIn(parent)) {
      const worker = workerOfFolder(name)
      if (worker === undefined || !isOfHere(worker) || isAlive(worker)) continue
      const path = join(parent, name)
      const stat = lstatSync(path, { throwIfNoEntry: false })
      if (stat?.isDirectory() && stat.uid === process.geteuid?.()) found.set(path, folderTagOf(worker))
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
