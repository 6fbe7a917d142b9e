/** The trial that tells who takes in the orphans of this process. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { statOf } from '../linux/proc.js'

const longestMs = 10_000

// Not every image has a shell, but each that this runs in has Node. The orphan waits for the end of its input.
const orphan = 'process.stdin.resume()'
const parent = `
  const { spawn } = require('node:child_process')
  const options = { stdio: [3, 'ignore', 'ignore'], detached: true }
  const { pid } = spawn(process.execPath, ['--eval', ${JSON.stringify(orphan)}], options)
  process.stdout.write(String(pid), () => process.exit())`

/**
 * Starts a process whose child outlives it. Resolves with the process id of the parent that the child has then, and with
 * undefined where none could be started. Never rejects.
 */
export async function parentOfOrphans(): Promise<number | undefined> {
  let child: ChildProcess | undefined
  try {
    child = spawn(process.execPath, ['--eval', parent], {
      stdio: ['ignore', 'pipe', 'ignore', 'pipe'],
      cwd: '/',
      env: plainEnvironment()
    })
    // Without room for a process it has no streams, and 'error' follows.
    child.on('error', () => {})
    const output = child.stdout as Readable
    let said = ''
    output.setEncoding('latin1').on('data', (text: string) => {
      said += text
    })
    const signal = AbortSignal.timeout(longestMs)
    // 'close' would wait for the orphan, which has the other pipe.
    await Promise.all([once(child, 'exit', { signal }), once(output, 'end', { signal })])
    // It waits for this process, so the number is its own.
    const stat = statOf(Number(said))
    return stat?.alive ? stat.parent : undefined
  } catch {
    // There is no room for another process, or this one may start none.
    return undefined
  } finally {
    child?.kill('SIGKILL')
    ;(child?.stdio?.[3] as Socket | null | undefined)?.on('error', () => {}).destroy()
  }
}

/** What configures Node is meant for this process, and the orphan is nobody's subprocess. */
function plainEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(
    ([name]) => !/^(NODE_|SUBPROCESS_GUARD_(?!REALM))/.test(name)
  )
  return Object.fromEntries(entries)
}
