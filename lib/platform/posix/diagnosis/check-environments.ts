/** Checks whether ps shows the environments of processes, which tell the scope of an orphan. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Finding } from '../../platform.js'
import { environmentOf } from '../listed-environments.js'

const variable = 'SUBPROCESS_GUARD_DOCTOR'
const value = 'shown'

/** Starts a program of Node and one of the system, and looks for a variable of theirs. */
export async function checkEnvironments(): Promise<Finding[]> {
  const name = 'environments'
  const [node, shell] = [
    await isShown(process.execPath, ['--eval', 'process.stdout.write(" "); process.stdin.resume()']),
    await isShown('/bin/sh', ['-c', 'echo; read line'])
  ]
  if (node && shell) return [{ name, severity: 'ok', says: 'ps shows the environments of processes.' }]
  const whose = node ? 'of programs of the system, such as /bin/sh,' : 'of processes'
  const says =
    `ps does not show the environments ${whose}: what they leave in another process group is not ` +
    'recognised when its parent has ended, and a sweep does not find it.'
  return [{ name, severity: 'note', says }]
}

async function isShown(program: string, args: readonly string[]): Promise<boolean> {
  let child: ChildProcess | undefined
  try {
    const env = { ...process.env, [variable]: value }
    child = spawn(program, args, { stdio: ['pipe', 'pipe', 'ignore'], env })
    await Promise.race([once(child.stdout as NodeJS.ReadableStream, 'data'), once(child, 'exit')])
    return environmentOf(child.pid as number, variable) === value
  } catch {
    // It could not be started, or ps could not: the check of the list says so.
    return false
  } finally {
    child?.kill('SIGKILL')
  }
}
