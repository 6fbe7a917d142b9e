/**
 * Runs in its own PID namespace, where it can choose the next pid, so that a new process
 * gets the pid that a process of a scope had before. Prints whether the last process of the
 * case is alive after the scope has closed.
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

// A shell that starts a process without environment in its session, prints
// its pid, and exits at the end of its input.
const leaver = ['-c', 'env -i "$(command -v sleep)" 1000 >&- & echo $!; read -r _'] as const
const piped = ['pipe', 'pipe', 'ignore'] as const
// Without a mark, so it belongs to no scope.
const bare = { PATH: process.env.PATH }
const ignored = ['ignore', 'ignore', 'ignore'] as const

const cases: Record<string, () => Promise<number>> = {
  /**
   * An unrelated session has the id of a former session of the scope.
   * Resolves with a daemon of the unrelated one.
   */
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
  /** A command has the pid of a command that was released. Resolves with what the later command has left. */
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

/** The pid of a command that was released and has ended. */
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

/**
 * The process that a shell has left, after the shell has exited. The
 * keeper of the scope has seen both before.
 */
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

/** Waits until the kernel's clock has advanced, which counts in hundredths of a second. */
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
