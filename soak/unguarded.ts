/** The negative control: what servers usually do, `child_process` and `child.kill()` at the end. */

import { type ChildProcess, exec, execFile, fork, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { FastifyReply } from 'fastify'
import type { Starter } from './endings.js'

/** Starts programs for a route, answers at the deadline, and kills its children after the response. */
export function startUnguarded(reply: FastifyReply, timeoutMs: number): Starter {
  const children: ChildProcess[] = []
  const folders: string[] = []
  const deadline = setTimeout(() => {
    if (reply.raw.headersSent) reply.raw.destroy()
    else reply.code(503).send({ code: 'ERR_SUBPROCESS_DEADLINE' })
  }, timeoutMs)
  reply.raw.once('close', () => {
    clearTimeout(deadline)
    for (const child of children) child.kill()
    for (const folder of folders) rmSync(folder, { recursive: true, force: true })
  })

  function track<Child extends ChildProcess>(child: Child): Child {
    children.push(child)
    child.on('error', () => {})
    return child
  }
  const starter = {
    spawn: (...args: Parameters<typeof spawn>) => track(spawn(...args)),
    fork: (...args: Parameters<typeof fork>) => track(fork(...args)),
    stream: (...args: Parameters<typeof spawn>) => track(spawn(...args)).stdout,
    exec: promisify(exec),
    execFile: promisify(execFile),
    tempDir() {
      const folder = mkdtempSync(join(tmpdir(), 'subprocess-'))
      folders.push(folder)
      return folder
    }
  }
  return starter as unknown as Starter
}
