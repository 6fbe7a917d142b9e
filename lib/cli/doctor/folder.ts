/** Whether the keeper finds a place for its socket. */

import { rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { makeSocketFolder } from '../../keeper/socket-folder.js'
import { folderTagOf, workerMarkOf } from '../../mark.js'
import type { Finding } from './finding.js'

/** Makes a folder as a keeper would, and removes it. */
export function findFolder(): Finding {
  const name = 'socket folder'
  const failures: string[] = []
  const toDo = 'Set TMPDIR to a short path that this user can write to.'
  try {
    const folder = makeSocketFolder(folderTagOf(workerMarkOf(process.pid)), failures)
    rmSync(folder, { recursive: true })
    const parent = dirname(folder)
    if (failures.length === 0) {
      return { name, severity: 'ok', says: `The keeper can have its socket in ${parent}.` }
    }
    const says = `The keeper has its socket in ${parent}, since elsewhere it cannot: ${failures.join('; ')}.`
    return { name, severity: 'note', says, toDo }
  } catch {
    const says = `There is no place for the keeper's socket: ${failures.join('; ')}.`
    return { name, severity: 'problem', says, toDo }
  }
}
