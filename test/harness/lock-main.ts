/** A process that takes the lock of the sweep, or observes how others do. Prints what it observed as JSON. */

import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type * as SweepLock from '../../lib/sweep/sweep-lock.js'
import { compiled } from './compiled.js'
import { eventually } from './expectations.js'

type Holder = ChildProcessByStdio<Writable, Readable, null>

const { withSweepLock } = (await compiled('sweep/sweep-lock')) as typeof SweepLock
const entry = fileURLToPath(import.meta.url)
// A process that waits for the lock of a sweep: 03 is the state of a connected socket.
const waiting = / 03 +\d+ \S*\/sweep-\S+$/

const scenarios: Record<string, () => unknown> = {
  async hold() {
    await withSweepLock(async () => {
      console.log('held')
      await once(process.stdin, 'data')
    })
    process.exit()
  },
  /** How many hold it at first, and after the first one has released it. */
  async 'one at a time'() {
    const holders = [startHolder(), startHolder()] as const
    const order: Holder[] = []
    const held = holders.map(async (holder) => {
      await once(holder.stdout, 'data')
      order.push(holder)
    })
    await Promise.race(held)
    await eventually('the other one waits', () =>
      readFileSync('/proc/net/unix', 'utf8')
        .split('\n')
        .some((line) => waiting.test(line))
    )
    const before = order.length
    order[0]?.stdin.write('go\n')
    await Promise.all(held)
    return [before, order.length]
  },
  /**
   * How many lock files there are after the first one was killed, while
   * the second one holds it, and at the end.
   */
  async 'the first one is killed'() {
    const first = await heldBy(startHolder())
    first.kill('SIGKILL')
    await once(first, 'exit')
    const before = locks()
    const second = await heldBy(startHolder())
    const then = locks()
    second.stdin.write('go\n')
    await once(second, 'exit')
    return [before.length, then.length, locks().length]
  },
  async 'two realms'() {
    const env = (realm: string): NodeJS.ProcessEnv => ({ ...process.env, SUBPROCESS_GUARD_REALM: realm })
    await Promise.all([heldBy(startHolder(env('a'))), heldBy(startHolder(env('b'.repeat(64))))])
    return true
  },
  async 'two at once'() {
    await Promise.all([heldBy(startHolder()), heldBy(startHolder())])
    return true
  }
}
const started: Holder[] = []

function startHolder(env = process.env): Holder {
  const holder = spawn(process.execPath, [entry, 'hold'], { env, stdio: ['pipe', 'pipe', 'inherit'] })
  started.push(holder)
  return holder
}

async function heldBy(holder: Holder): Promise<Holder> {
  await once(holder.stdout, 'data')
  return holder
}

function locks(): string[] {
  return readdirSync('/dev/shm/subprocess-guard-0')
}

const seen = await scenarios[process.argv[2] as string]?.()
console.log(JSON.stringify(seen))
for (const holder of started) holder.kill('SIGKILL')
