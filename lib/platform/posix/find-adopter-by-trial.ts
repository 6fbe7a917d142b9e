/** Finds out by a trial which process adopts the orphans of this one. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import type { Platform } from '../platform.js'

const timeoutMs = 10_000

// Not every container image has a shell, but every image that this runs in has Node. The orphan waits for the
// end of its input.
const orphan = 'process.stdin.resume()'
const parent = `
  const { spawn } = require('node:child_process')
  const options = { stdio: [3, 'ignore', 'ignore'], detached: true }
  const { pid } = spawn(process.execPath, ['--eval', ${JSON.stringify(orphan)}], options)
  process.stdout.write(String(pid), () => process.exit())`

/**
 * Starts a process whose child outlives it. Resolves with the pid of the parent that the child then has.
 * Undefined if no process could be started. Never rejects.
 */
export async function findOrphanAdopter(statOf: Platform['statOf']): Promise<number | undefined> {
  let child: ChildProcess | undefined
  try {
    child = spawn(process.execPath, ['--eval', parent], {
      stdio: ['ignore', 'pipe', 'ignore', 'pipe'],
      cwd: '/',
      env: plainEnvironment()
    })
    // If the system has no room for a process, the child has no streams, and emits 'error' later.
    child.on('error', () => {})
    const output = child.stdout as Readable
    let pidText = ''
    output.setEncoding('latin1').on('data', (text: string) => {
      pidText += text
    })
    const signal = AbortSignal.timeout(timeoutMs)
    // Not 'close', which would wait for the orphan: it has the other pipe.
    await Promise.all([once(child, 'exit', { signal }), once(output, 'end', { signal })])
    // The orphan waits for this process, so the pid is still its own.
    const stat = statOf(Number(pidText))
    return stat?.alive ? stat.parent : undefined
  } catch {
    // The system has no room for another process, or this process may start none.
    return undefined
  } finally {
    child?.kill('SIGKILL')
    ;(child?.stdio?.[3] as Socket | null | undefined)?.on('error', () => {}).destroy()
  }
}

/**
 * Without options of Node, which are meant for this process, and without a mark: the orphan belongs to no
 * scope.
 */
function plainEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(
    ([name]) => !/^(NODE_|SUBPROCESS_GUARD_(?!REALM))/.test(name)
  )
  return Object.fromEntries(entries)
}
