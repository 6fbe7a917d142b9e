/**
 * Checks the keeper's directories: the one of its socket, and the one that all servers of this user share.
 */

import { once } from 'node:events'
import { createServer } from 'node:net'
import { dirname } from 'node:path'
import { type Finding, platform } from '../../platform/current.js'
import { workerMarkOf } from '../../wire/mark.js'
import { openSocketFolder, removeSocketFolder } from '../../wire/socket-folder.js'

/** Opens a socket as a keeper does, and removes it. */
export async function checkSocketFolder(): Promise<Finding> {
  const name = 'socket folder'
  const failures: string[] = []
  const toDo = 'Set TMPDIR to a short path that this user can write to.'
  const server = createServer()
  try {
    const listen = async (path: string): Promise<void> => {
      server.listen(path)
      await once(server, 'listening')
    }
    const folder = await openSocketFolder(workerMarkOf(process.pid), listen, failures)
    server.close()
    removeSocketFolder(folder)
    const parent = dirname(folder)
    if (failures.length === 0) {
      return { name, severity: 'ok', says: `The keeper can have its socket in ${parent}.` }
    }
    const says = `The keeper has its socket in ${parent}, because other places do not work: ${failures.join('; ')}.`
    return { name, severity: 'note', says, toDo }
  } catch {
    const says = `There is no place for the keeper's socket: ${failures.join('; ')}.`
    return { name, severity: 'problem', says, toDo }
  }
}

/** Finds or makes the directory that all servers of this user share, as a keeper does. */
export function checkSharedFolder(): Finding {
  const name = 'shared folder'
  try {
    const { path, squatted } = platform.makeOwnFolder()
    const use = `This user's servers share ${path}, for notes of released processes and the lock of the sweep`
    if (squatted.length === 0) return { name, severity: 'ok', says: `${use}.` }
    const says = `${use}, because something is in the way elsewhere: ${squatted.join('; ')}.`
    return {
      name,
      severity: 'note',
      says,
      toDo: 'Remove what is in the way, and ask its owner why it is there.'
    }
  } catch (error) {
    const says = `There is no folder that this user's servers can share: ${(error as Error).message}.`
    const toDo =
      'Make /dev/shm or /tmp writable. Without it, a later start may end processes that were released.'
    return { name, severity: 'note', says, toDo }
  }
}
