/** A worker that reaches its limit of processes before its keeper starts, or before a command does. */

import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { createGuard, type Guard } from 'fastify-subprocess-guard'
import type { NoRoom, NoRoomFor } from './no-room.js'

const [what, launch] = process.argv.slice(2) as [NoRoomFor, 'keeper' | 'direct']

/** Lets the user of this process have no more processes than now, as far as this process is concerned. */
function leaveNoRoom(pid: number): void {
  execFileSync('prlimit', ['--pid', String(pid), '--nproc=1:'])
}

async function startCommand(guard: Guard): Promise<NoRoom> {
  const scope = guard.open()
  leaveNoRoom(what === 'keeper' ? guard.keeper : process.pid)
  const events: string[] = []
  const child = scope.spawn('true')
  for (const name of ['spawn', 'exit'] as const) child.on(name, () => events.push(name))
  await new Promise<void>((resolve) => {
    child.on('error', (error: NodeJS.ErrnoException) => {
      events.push(`error ${error.code}`)
      resolve()
    })
    child.once('exit', () => resolve())
  })
  await scope.close()
  const next = guard.open()
  await next.close()
  return { events, isGuardOpen: next.reason === 'closed' }
}

async function loseKeeper(guard: Guard): Promise<NoRoom> {
  const scope = guard.open()
  const child = scope.spawn('sh', ['-c', 'sleep 1000 & exec sleep 1000'], { stdio: 'ignore' })
  await once(child, 'spawn')
  while ((await scope.list()).length < 2);
  leaveNoRoom(process.pid)
  process.kill(guard.keeper, 'SIGKILL')
  const { reason, processes } = await scope.closed
  return { events: [reason, ...processes.map(({ ended }) => ended)] }
}

if (what === 'start') leaveNoRoom(process.pid)
let told: NoRoom
try {
  const guard = await createGuard({ launch: what === 'direct' ? what : launch })
  if (what === 'start') told = {}
  else told = await (what === 'successor' ? loseKeeper(guard) : startCommand(guard))
  await guard.close()
} catch (error) {
  const { code, message, cause } = error as Error & { code: string }
  told = { error: { code, message, ...(cause === undefined ? {} : { cause: String(cause) }) } }
}
console.log(JSON.stringify(told))
