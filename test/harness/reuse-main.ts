/**
 * Runs in its own PID namespace, where it can choose the next pid: an unrelated process gets the pid and the start
 * time of a former process of a scope. Prints whether the unrelated process is alive, or that no start time was the
 * same.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createGuard } from 'fastify-subprocess-guard'
import { statOf } from './proc.js'

const how = process.argv[2] as 'adopted' | 'direct' | 'keeper'

const guard = await createGuard({
  grace: 100,
  timeout: false,
  launch: how === 'direct' ? 'direct' : 'keeper'
})

/** Starts and ends a process of the scope. Resolves with its pid and start time. */
async function formerMember(scope: ReturnType<typeof guard.open>) {
  awaitTick()
  const child: ChildProcess =
    how === 'adopted'
      ? scope.adopt(spawn('sleep', ['1000'], { stdio: 'ignore', detached: true }))
      : scope.spawn('sleep', ['1000'], { stdio: 'ignore' })
  if (child.pid === undefined) await once(child, 'spawn')
  const pid = child.pid as number
  const startTick = statOf(pid)?.startTick
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
  return { pid, startTick }
}

/**
 * Waits until the kernel's clock has advanced. What starts soon after has the
 * same start time, in hundredths of a second.
 */
function awaitTick(): void {
  const now = (): string => readFileSync('/proc/uptime', 'utf8').split(' ', 1)[0] as string
  const before = now()
  while (now() === before);
}

const attemptsForMs = 60_000

// On a busy machine, only one attempt of many gives both the same start time, or none at all.
for (;;) {
  const scope = guard.open()
  // Keep one process running, so that the closing scope is searched.
  scope.spawn('sleep', ['1000'], { stdio: 'ignore' })
  const former = await formerMember(scope)
  writeFileSync('/proc/sys/kernel/ns_last_pid', String(former.pid - 1))
  const stranger = spawn('sleep', ['1000'], { stdio: 'ignore', detached: true })
  const isSame = stranger.pid === former.pid && statOf(former.pid)?.startTick === former.startTick
  await scope.close()
  const lives = stranger.exitCode === null && stranger.signalCode === null && stranger.kill('SIGKILL')
  if (!lives || isSame) {
    console.log(lives ? 'the stranger lives' : 'the stranger was ended')
    break
  }
  if (performance.now() > attemptsForMs) {
    console.log('no start time was the same')
    break
  }
}
await guard.close()
