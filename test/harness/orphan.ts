/** Orphans in their own session, as daemons are, and processes that a dead worker has left. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { PassThrough, type Readable, type Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import type { TestContext } from 'node:test'
import { eventually } from './expectations.js'
import { argumentsOf, end, identityOf, isAlive } from './proc.js'

export interface Orphan {
  readonly pid: number
  readonly stdin: Writable
  readonly stdout: Readable
  kill(): void
  /** Resolves when it has ended. */
  gone(): Promise<void>
}

/** Starts a program as an orphan. Resolves when it runs. It ends with the test at the latest. */
export async function startOrphan(
  t: Pick<TestContext, 'after'>,
  [file, ...args]: readonly [string, ...string[]],
  env: NodeJS.ProcessEnv,
  user?: number
): Promise<Orphan> {
  const script = 'setsid "$@" <&3 3<&- 4>&- & echo $! >&4'
  const parent = spawn('sh', ['-c', script, 'sh', file, ...args], {
    stdio: ['ignore', 'pipe', 'inherit', 'pipe', 'pipe'],
    env,
    ...(user === undefined ? {} : { uid: user, gid: user })
  })
  // Node drops unread output when the parent exits.
  const stdout = (parent.stdout as Readable).pipe(new PassThrough())
  const stdin = parent.stdio[3] as Writable
  const [number] = await Promise.all([text(parent.stdio[4] as Readable), once(parent, 'exit')])
  const orphan = identityOf(Number(number))
  const kill = (): void => {
    if (isAlive(orphan)) end(orphan.pid)
  }
  t.after(() => {
    kill()
    stdin.destroy()
    parent.stdout?.destroy()
  })
  stdin.on('error', () => {})
  const isOnItsWay = ([program, , argument]: readonly string[]): boolean =>
    program === undefined || program === 'setsid' || argument === script
  await eventually('it is its program', () => !isOnItsWay(argumentsOf(orphan.pid)) || !isAlive(orphan))
  const gone = (): Promise<void> => eventually('it is gone', () => !isAlive(orphan))
  return { pid: orphan.pid, stdin, stdout, kill, gone }
}
