/** Checks whether `taskkill` ends a process with its child: it tries. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import type { Finding } from '../../platform.js'
import { killTree } from '../end-process.js'

const name = 'taskkill'
// Both hold the pipe open until they end. The child writes its pid.
const child = 'process.stdout.write(String(process.pid)); setInterval(() => {}, 1000)'
const parent = `require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(child)}], { stdio: 'inherit' })`
const goneWithinMs = 3_000

/** Without koffi it is what ends the descendants of a command. */
export async function checkTaskkill(): Promise<Finding> {
  const tree = spawn(process.execPath, ['-e', parent], {
    stdio: ['ignore', 'pipe', 'ignore'],
    windowsHide: true
  })
  const [pid] = await once(tree.stdout, 'data')
  const ended = once(tree.stdout.resume(), 'end').then(() => true)
  await killTree(tree.pid as number)
  if (await Promise.race([ended, pause(goneWithinMs, false)])) {
    return { name, severity: 'ok', says: 'taskkill ends a process with its children.' }
  }
  tree.kill()
  process.kill(Number(pid))
  const says = 'taskkill does not end the children of a process.'
  const toDo = 'Install koffi. Without both, only the processes of commands themselves are ended.'
  return { name, severity: 'problem', says, toDo }
}
