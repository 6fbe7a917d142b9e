/**
 * Runs in a PID namespace of its own, in which it can choose the next process id: the number that a process of a scope once had is
 * given to another one. It says whether the last process that comes of that lives when the scope has closed.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createGuard, type Scope } from 'fastify-subprocess-guard'
import { eventually } from './expectations.js'
import { lives, statOf } from './proc.js'

const how = process.argv[2] as string
const guard = await createGuard({
  grace: 100,
  timeout: false,
  launch: how === 'session' ? 'direct' : 'keeper',
  logger: { info() {}, warn() {}, error() {} }
})

// A shell that starts a process without an environment in its session, says its number, and exits when its input ends.
const leaver = ['-c', 'env -i "$(command -v sleep)" 1000 >&- & echo $!; read -r _'] as const
const piped = ['pipe', 'pipe', 'ignore'] as const
// Not even a mark: nobody's.
const bare = { PATH: process.env.PATH }
const ignored = ['ignore', 'ignore', 'ignore'] as const

const cases: Record<string, () => Promise<number>> = {
  /** A long-lived scope had a session, which is a stranger's by now. Resolves with a daemon of that stranger. */
  async session() {
    for (;;) {
      const scope = guard.open()
      const leader = scope.spawn('sh', leaver, { stdio: piped })
      const left = await leftBy(leader, scope)
      await endProcess(left)
      await someTicks()
      takeNextNumber(leader.pid as number)
      const stranger = spawn('sh', leaver, { stdio: [...piped], detached: true, env: bare })
      const daemon = await leftBy(stranger)
      const isReused = stranger.pid === leader.pid
      await scope.close()
      if (isReused || !lives(daemon)) return daemon
      await endProcess(daemon)
    }
  },
  /** The number of a released command is a later command's. Resolves with what that one has left. */
  async released() {
    for (;;) {
      const number = await formerRelease(guard.open())
      const scope = guard.open()
      takeNextNumber(number)
      const command = scope.spawn('sh', leaver, { stdio: piped })
      const left = await leftBy(command)
      await scope.close()
      if (command.pid === number) return left
    }
  },
  /** The same within one scope, whose keeper is lost. Resolves with the later command. */
  async 'released, keeper lost'() {
    for (;;) {
      const scope = guard.open()
      const number = await formerRelease(scope)
      takeNextNumber(number)
      const command = scope.spawn('sleep', ['1000'], { stdio: ignored })
      command.on('error', () => {})
      await once(command, 'spawn')
      if (command.pid !== number) {
        await scope.close()
        continue
      }
      process.kill(guard.keeper, 'SIGKILL')
      await scope.closed
      return command.pid
    }
  }
}

/** The number of a command that was released and has ended. */
async function formerRelease(scope: Scope): Promise<number> {
  const command = scope.spawn('sleep', ['1000'], { stdio: ignored })
  await once(command, 'spawn')
  scope.release(command)
  await scope.list()
  const exited = once(command, 'exit')
  process.kill(command.pid as number, 'SIGKILL')
  await exited
  return command.pid as number
}

/** The process that a shell has left, once that is gone. The keeper of its scope has seen both before. */
async function leftBy(shell: ChildProcess, scope?: Scope): Promise<number> {
  const [pid] = await once(shell.stdout as NodeJS.ReadableStream, 'data')
  await scope?.list()
  const exited = once(shell, 'exit')
  shell.stdin?.end()
  await exited
  return Number(pid)
}

async function endProcess(pid: number): Promise<void> {
  process.kill(pid, 'SIGKILL')
  await eventually('it is gone and collected', () => statOf(pid) === undefined)
}

/** Lets the kernel's clock go on: it counts in hundredths of a second. */
async function someTicks(): Promise<void> {
  const now = (): number => Number.parseFloat(readFileSync('/proc/uptime', 'utf8'))
  const until = now() + 0.2
  await eventually('the clock goes on', () => now() > until)
}

function takeNextNumber(number: number): void {
  writeFileSync('/proc/sys/kernel/ns_last_pid', String(number - 1))
}

const last = await (cases[how] as () => Promise<number>)()
console.log(lives(last) ? 'it lives' : 'it was ended')
await guard.close()
if (lives(last)) process.kill(last, 'SIGKILL')
process.exit()
