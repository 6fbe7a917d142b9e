/**
 * Lets one sweep run at a time, so that no process is sent its first signal twice. The lock is a Unix socket
 * in this user's own directory, one for each boot, PID namespace and realm: the kernel closes it when its
 * holder ends, however it ends. Two sweeps at once are harmless, so a failure of the lock neither prevents a
 * sweep nor delays it for ever.
 */

import { createHash, randomBytes } from 'node:crypto'
import { linkSync, lstatSync, renameSync, rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { platform } from '../platform/current.js'
import { ownRealm } from '../wire/mark.js'

const maxWaitMs = 30_000
// The holder may close the connection at once. Pause before retrying.
const retryPauseMs = 50
// Each waiting sweep uses a descriptor of the holder.
const maxWaiting = 64

interface Lock {
  release(): void
}

/**
 * Runs a sweep while it holds the lock, or without the lock when others have held it for 30 s. Calls
 * `onSquatted` when another user has taken the name of the directory.
 */
export async function withSweepLock<Result>(
  sweep: () => Promise<Result>,
  onSquatted: (squatted: readonly string[]) => void = () => {}
): Promise<Result> {
  const path = lockPath(onSquatted)
  const lock = path === undefined ? undefined : await acquire(path)
  try {
    return await sweep()
  } finally {
    lock?.release()
  }
}

/** Undefined when there is no directory for the lock. */
function lockPath(onSquatted: (squatted: readonly string[]) => void): string | undefined {
  try {
    const { path, squatted } = platform.makeOwnFolder()
    if (squatted.length > 0) onSquatted(squatted)
    // A hash: a realm may be long, and the path of a socket must be short.
    const key = [platform.bootId(), platform.pidNamespace(), ownRealm()].join(' ')
    return join(path, `sweep-${createHash('sha256').update(key).digest('hex').slice(0, 16)}`)
  } catch {
    return undefined
  }
}

/** Undefined when the lock cannot be acquired. */
async function acquire(path: string): Promise<Lock | undefined> {
  const until = performance.now() + maxWaitMs
  for (;;) {
    const lock = await tryToAcquire(path)
    if (lock !== 'held') return lock
    const holder = await waitForHolder(path, Math.max(until - performance.now(), 0))
    if (holder === 'dead') await removeStaleLock(path)
    if (performance.now() >= until) return undefined
    await pause(retryPauseMs)
  }
}

/** `'held'` when another process holds the lock; undefined when no socket can be opened. */
async function tryToAcquire(path: string): Promise<Lock | 'held' | undefined> {
  const waiting = new Set<Socket>()
  const server = createServer((socket) => {
    waiting.add(socket)
    // The waiting process may end first.
    socket.on('error', () => {}).once('close', () => waiting.delete(socket))
  })
  server.maxConnections = maxWaiting
  // The socket listens under a temporary name before it becomes the lock: a lock that does not listen is
  // taken for that of a dead holder.
  const ownPath = temporaryPath(path)
  if (!(await listens(server, ownPath))) return undefined
  const { ino } = lstatSync(ownPath)
  try {
    linkSync(ownPath, path)
  } catch (error) {
    server.close()
    return (error as NodeJS.ErrnoException).code === 'EEXIST' ? 'held' : undefined
  } finally {
    rmSync(ownPath, { force: true })
  }
  return {
    release() {
      if (lstatSync(path, { throwIfNoEntry: false })?.ino === ino) rmSync(path, { force: true })
      server.close()
      for (const socket of waiting) socket.destroy()
    }
  }
}

function listens(server: Server, path: string): Promise<boolean> {
  if (Buffer.byteLength(path) > platform.maxSocketPathBytes) return Promise.resolve(false)
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(path, () => resolve(true))
  })
}

/**
 * Resolves when the holder releases the lock, ends, or refuses the connection, or after `ms`. `'dead'`:
 * nothing listens on the socket, since its holder ended without removing it.
 */
function waitForHolder(path: string, ms: number): Promise<'dead' | 'gone'> {
  return new Promise((resolve) => {
    const socket = connect(path)
    const timer = setTimeout(() => socket.destroy(), ms)
    let holder: 'dead' | 'gone' = 'gone'
    // 'close' follows.
    socket.on('error', ({ code }: NodeJS.ErrnoException) => {
      if (code === 'ECONNREFUSED') holder = 'dead'
    })
    // The end of the stream is only noticed while it is read.
    socket.resume()
    socket.once('close', () => {
      clearTimeout(timer)
      resolve(holder)
    })
  })
}

/** Removes the socket of a dead holder. Puts it back if another sweep has acquired the lock in between. */
async function removeStaleLock(path: string): Promise<void> {
  const aside = temporaryPath(path)
  try {
    renameSync(path, aside)
    if (await isHeld(aside)) linkSync(aside, path)
    rmSync(aside, { force: true })
  } catch {
    // Another sweep has removed it.
  }
}

function isHeld(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}

function temporaryPath(path: string): string {
  return `${path}.${randomBytes(4).toString('hex')}`
}
