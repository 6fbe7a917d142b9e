/**
 * One sweep at a time: a name that only one process of this user, PID namespace and realm can listen on. The kernel gives it
 * back when its holder ends, however that ends. It keeps processes from being asked to end twice; two sweeps at once
 * are harmless, so whatever goes wrong with it is a reason neither to wait for ever nor to leave the sweep out.
 */

import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { ownRealm } from '../mark.js'
import { pidNamespace } from '../platform/linux.js'

const longestWaitMs = 30_000
// Whoever has the name may send us away at once, and is not to be asked all the time then.
const pauseMs = 50
// Anybody can connect to the name, and each takes a descriptor.
const mostWaiting = 64

interface Lock {
  giveBack(): void
}

/** Runs a sweep when no other one runs, or when others have been at it for 30 s. */
export async function runAlone<Result>(sweep: () => Promise<Result>): Promise<Result> {
  // A null byte begins a name that is no file (unix(7)).
  const name = `\0fastify-subprocess-guard-sweep-${process.geteuid?.()}-${pidNamespace()}-${ownRealm()}`
  const until = performance.now() + longestWaitMs
  let lock = await take(name)
  while (lock === 'taken' && performance.now() < until) {
    await holderLeaves(name, Math.max(until - performance.now(), 0))
    await pause(pauseMs)
    lock = await take(name)
  }
  try {
    return await sweep()
  } finally {
    if (typeof lock === 'object') lock.giveBack()
  }
}

function take(name: string): Promise<Lock | 'taken' | 'refused'> {
  return new Promise((resolve) => {
    const waiting = new Set<Socket>()
    const server = createServer((socket) => {
      waiting.add(socket)
      // Who waits may end while it does.
      socket.on('error', () => {}).once('close', () => waiting.delete(socket))
    })
    server.maxConnections = mostWaiting
    server.once('error', ({ code }: NodeJS.ErrnoException) => {
      resolve(code === 'EADDRINUSE' ? 'taken' : 'refused')
    })
    server.listen(name, () => {
      resolve({
        giveBack() {
          server.close()
          for (const socket of waiting) socket.destroy()
        }
      })
    })
  })
}

/** Resolves when whoever has the name lets it go, ends, or does not want to be waited for. */
function holderLeaves(name: string, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(name)
    const timer = setTimeout(() => socket.destroy(), ms)
    // It may be gone already: 'close' follows.
    socket.on('error', () => {})
    // Without a reader its end would not be seen.
    socket.resume()
    socket.once('close', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}
