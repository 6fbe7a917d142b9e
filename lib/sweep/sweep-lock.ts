/**
 * One sweep at a time: a socket in the folder of this user's own, one for each boot, PID namespace and realm. The kernel
 * closes it when its holder ends, however that ends. It keeps processes from being asked to end twice; two sweeps at once
 * are harmless, so whatever goes wrong with it is a reason neither to wait for ever nor to leave the sweep out.
 */

import { createHash, randomBytes } from 'node:crypto'
import { linkSync, lstatSync, renameSync, rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { bootId, makeOwnFolder, pidNamespace } from '../platform/current.js'
import { ownRealm } from '../wire/mark.js'

const longestWaitMs = 30_000
// The holder may end the connection at once. Pause before the next try.
const pauseMs = 50
// Each that waits takes a descriptor of the holder.
const mostWaiting = 64
// See socket-folder.ts.
const longestPathBytes = 107

interface Lock {
  giveBack(): void
}

/**
 * Runs a sweep when no other one runs, or when others have been at it for 30 s. `saySquatted` is told where somebody else has
 * taken the name of the folder.
 */
export async function runAlone<Result>(
  sweep: () => Promise<Result>,
  saySquatted: (squatted: readonly string[]) => void = () => {}
): Promise<Result> {
  const path = lockPath(saySquatted)
  const lock = path === undefined ? undefined : await waitFor(path)
  try {
    return await sweep()
  } finally {
    lock?.giveBack()
  }
}

/** Undefined where there can be none. */
function lockPath(saySquatted: (squatted: readonly string[]) => void): string | undefined {
  try {
    const { path, squatted } = makeOwnFolder()
    if (squatted.length > 0) saySquatted(squatted)
    // A hash, since a realm may be long and a socket's path may not.
    const who = [bootId(), pidNamespace(), ownRealm()].join(' ')
    return join(path, `sweep-${createHash('sha256').update(who).digest('hex').slice(0, 16)}`)
  } catch {
    return undefined
  }
}

async function waitFor(path: string): Promise<Lock | undefined> {
  const until = performance.now() + longestWaitMs
  for (;;) {
    const lock = await take(path)
    if (lock !== 'taken') return lock
    const holder = await holderLeaves(path, Math.max(until - performance.now(), 0))
    if (holder === 'dead') await clear(path)
    if (performance.now() >= until) return undefined
    await pause(pauseMs)
  }
}

/** Undefined where there can be no such socket. */
async function take(path: string): Promise<Lock | 'taken' | undefined> {
  const waiting = new Set<Socket>()
  const server = createServer((socket) => {
    waiting.add(socket)
    // Who waits may end while it does.
    socket.on('error', () => {}).once('close', () => waiting.delete(socket))
  })
  server.maxConnections = mostWaiting
  // It listens under another name before it is the lock: one that does not listen is taken for that of a dead holder.
  const ownPath = besides(path)
  if (!(await listens(server, ownPath))) return undefined
  const { ino } = lstatSync(ownPath)
  try {
    linkSync(ownPath, path)
  } catch (error) {
    server.close()
    return (error as NodeJS.ErrnoException).code === 'EEXIST' ? 'taken' : undefined
  } finally {
    rmSync(ownPath, { force: true })
  }
  return {
    giveBack() {
      if (lstatSync(path, { throwIfNoEntry: false })?.ino === ino) rmSync(path, { force: true })
      server.close()
      for (const socket of waiting) socket.destroy()
    }
  }
}

function listens(server: Server, path: string): Promise<boolean> {
  if (Buffer.byteLength(path) > longestPathBytes) return Promise.resolve(false)
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(path, () => resolve(true))
  })
}

/** Resolves when the holder gives the lock back, ends, or does not want to be waited for; says whether it was dead before. */
function holderLeaves(path: string, ms: number): Promise<'dead' | 'gone'> {
  return new Promise((resolve) => {
    const socket = connect(path)
    const timer = setTimeout(() => socket.destroy(), ms)
    let holder: 'dead' | 'gone' = 'gone'
    // 'close' follows.
    socket.on('error', ({ code }: NodeJS.ErrnoException) => {
      if (code === 'ECONNREFUSED') holder = 'dead'
    })
    // Without a reader its end would not be seen.
    socket.resume()
    socket.once('close', () => {
      clearTimeout(timer)
      resolve(holder)
    })
  })
}

/** Removes the socket of a dead holder. Another one may be faster, and hold the lock by now: that one gets it back. */
async function clear(path: string): Promise<void> {
  const aside = besides(path)
  try {
    renameSync(path, aside)
    if (await isHeld(aside)) linkSync(aside, path)
    rmSync(aside, { force: true })
  } catch {
    // Others have been there.
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

function besides(path: string): string {
  return `${path}.${randomBytes(4).toString('hex')}`
}
