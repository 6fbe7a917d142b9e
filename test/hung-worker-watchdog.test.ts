/** When the keeper declares its worker hung, and when not. A real process stands in for the worker. */

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type * as Dog from '../lib/keeper/hung-worker-watchdog.js'
import type * as Interval from '../lib/wire/heartbeat-interval.js'
import type { StackSample } from '../lib/wire/stack-sample.js'
import { compiled } from './harness/compiled.js'
import { eventually } from './harness/expectations.js'
import { statOf } from './harness/proc.js'

// Import the compiled files themselves, which the package does not export.
const { Watchdog }: typeof Dog = await compiled('keeper/hung-worker-watchdog')
const { heartbeatIntervalMs }: typeof Interval = await compiled('wire/heartbeat-interval')
const beatingWorker = fileURLToPath(new URL('./harness/beating-main.js', import.meta.url))

const timeoutMs = 1_000
const beatMs = heartbeatIntervalMs(timeoutMs)
// For the test that gets close to the timeout: a busy machine must not make it exceed the timeout.
const longTimeoutMs = 3_000
const limitMs = timeoutMs + beatMs
const leadMs = timeoutMs / 4

const here: StackSample = { type: 'stack', stack: 'at here', route: 'GET /here' }
const never = new Promise<never>(() => {})

/** A watchdog that records when it asked where the worker is, and what it reported. */
class Watch {
  readonly asked: number[] = []
  readonly alarms: { silentMs: number; where: StackSample; at: number }[] = []
  readonly dog: InstanceType<typeof Watchdog>

  constructor(t: TestContext, worker: number, answer = async () => here, ms = timeoutMs) {
    this.dog = new Watchdog({
      worker,
      timeoutMs: ms,
      sampleStack: () => {
        this.asked.push(performance.now())
        return answer()
      },
      onHung: (silentMs, where) => this.alarms.push({ silentMs, where, at: performance.now() })
    })
    t.after(() => this.dog.stop())
  }

  async alarm() {
    await eventually('the alarm', () => this.alarms.length > 0)
    return this.alarms[0] as (typeof this.alarms)[0]
  }
}

function started(t: TestContext, file: string, ...args: string[]): ChildProcess & { pid: number } {
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  })
  return child as ChildProcess & { pid: number }
}

/** Starts a process that sends no heartbeats, like a blocked worker. */
function silent(t: TestContext): number {
  return started(t, 'sleep', '1000').pid
}

/** Starts a watched worker that sends heartbeats. */
async function beating(t: TestContext, ms = timeoutMs) {
  const child = started(t, process.execPath, beatingWorker, String(heartbeatIntervalMs(ms)))
  await once(child.stdout as NonNullable<typeof child.stdout>, 'data')
  const watch = new Watch(t, child.pid, undefined, ms)
  let output = ''
  child.stdout?.on('data', (text: Buffer) => {
    output += text
    watch.dog.reset()
  })
  const folder = mkdtempSync(join(tmpdir(), 'beating-'))
  t.after(() => rmSync(folder, { recursive: true }))
  let blocks = 0
  /** Blocks its event loop, and returns a function that unblocks it. */
  const block = (): (() => void) => {
    const path = join(folder, String(++blocks))
    child.stdin?.write(`${path}\n`)
    return () => writeFileSync(path, '')
  }
  const over = (): number => output.split('over').length - 1
  return { child, watch, block, over, output: () => output }
}

/** Resolves when another watchdog has declared another worker hung. Any alarm would have come by then. */
async function alarmElsewhere(t: TestContext): Promise<void> {
  await new Watch(t, silent(t)).alarm()
}

function blockOwnLoop(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

test('a worker sends ten heartbeats per timeout, 10 ms to 1 s apart', () => {
  assert.deepEqual(
    [50, 100, 1_004, 1_006, 5_000, 10_000, 60_000].map(heartbeatIntervalMs),
    [10, 10, 100, 101, 500, 1_000, 1_000]
  )
})

suite('a worker that is silent for too long', () => {
  test('is declared hung once, with the place where it hangs', async (t) => {
    const { watch, block } = await beating(t)
    block()
    const { silentMs, where } = await watch.alarm()
    assert.ok(silentMs > limitMs, `${silentMs} ms`)
    assert.deepEqual(where, here)
    await alarmElsewhere(t)
    assert.equal(watch.alarms.length, 1)
  })

  test('is asked for its stack before its time is up, so that the alarm need not wait for it', async (t) => {
    const startedAt = performance.now()
    const watch = new Watch(t, silent(t))
    const { at } = await watch.alarm()
    // It asks again each time that the machine starved this process, so only the last request counts.
    const askedAt = watch.asked.at(-1) as number
    for (const [i, next] of watch.asked.slice(1).entries()) {
      assert.ok(next - (watch.asked[i] as number) >= timeoutMs - leadMs, 'asked twice in one silence')
    }
    assert.ok(askedAt - startedAt >= timeoutMs - leadMs, `asked after ${askedAt - startedAt} ms`)
    assert.ok(at - askedAt >= beatMs, `asked ${at - askedAt} ms before the alarm`)
  })

  test('is declared hung even without an answer', async (t) => {
    const { where } = await new Watch(t, silent(t), () => never).alarm()
    assert.equal(where.type, 'unknown')
    assert.match(where.why, /^no answer within \d+ ms$/)
  })

  test('is declared hung even if asking fails', async (t) => {
    const watch = new Watch(t, silent(t), () => Promise.reject(new Error('nobody there')))
    assert.deepEqual((await watch.alarm()).where, { type: 'unknown', why: 'Error: nobody there' })
  })

  test('is not reported with the stack of an earlier silence', async (t) => {
    const answers: ((where: StackSample) => void)[] = []
    const watch = new Watch(t, silent(t), () => new Promise((resolve) => answers.push(resolve)))
    await eventually('it is asked', () => answers.length > 0)
    watch.dog.reset()
    answers[0]?.({ type: 'stack', stack: 'at a former place' })
    assert.equal((await watch.alarm()).where.type, 'unknown')
    assert.ok(answers.length > 1)
  })
})

suite('a worker is not declared hung', () => {
  test('if its block is shorter than its timeout', async (t) => {
    const { watch, block, over } = await beating(t, longTimeoutMs)
    for (let times = 1; times <= 2; times++) {
      const goOn = block()
      // The watchdog asks for the stack shortly before the time is up.
      await eventually('its time is nearly up', () => watch.asked.length === times)
      goOn()
      await eventually('the block is over', () => over() === times)
    }
    assert.deepEqual(watch.alarms, [])
    block()
    await watch.alarm()
  })

  test('while it is stopped, nor right after it is continued', async (t) => {
    const { child, watch, block, output } = await beating(t)
    child.kill('SIGSTOP')
    await eventually('it is stopped', () => statOf(child.pid)?.state === 'T')
    for (let times = 0; times < 2; times++) await alarmElsewhere(t)
    const before = output()
    child.kill('SIGCONT')
    await eventually('it sends a heartbeat', () => output() > before)
    assert.deepEqual([watch.alarms, watch.asked], [[], []])
    block()
    await watch.alarm()
  })

  test('before its full timeout has passed since it was continued', async (t) => {
    const worker = silent(t)
    const watch = new Watch(t, worker)
    process.kill(worker, 'SIGSTOP')
    await alarmElsewhere(t)
    const continuedAt = performance.now()
    process.kill(worker, 'SIGCONT')
    const { at } = await watch.alarm()
    assert.ok(at - continuedAt > limitMs, `after ${at - continuedAt} ms`)
  })

  test('while the keeper itself is suspended, nor before the full timeout has passed after that', async (t) => {
    const watch = new Watch(t, silent(t))
    blockOwnLoop(limitMs + 5 * beatMs)
    const resumedAt = performance.now()
    const { at } = await watch.alarm()
    assert.ok(at - resumedAt > limitMs, `after ${at - resumedAt} ms`)
  })

  test('while its heartbeats are queued in the socket of a busy keeper', async (t) => {
    const { watch, block } = await beating(t)
    for (let times = 0; times < 20; times++) {
      blockOwnLoop(limitMs / 4)
      // One turn of the event loop, in which timers run before sockets are read.
      await new Promise((resolve) => setTimeout(resolve, 0))
    }
    assert.deepEqual(watch.alarms, [])
    block()
    await watch.alarm()
  })

  test('if its message has arrived but is unread when its time is up', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'watchdog-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const server = createServer((socket) => socket.on('data', () => watch.dog.reset()))
    server.listen(join(folder, 'socket'))
    t.after(() => server.close())
    const worker = connect(join(folder, 'socket'))
    await once(worker, 'connect')
    t.after(() => worker.destroy())
    let isLate = false
    const watch = new Watch(t, silent(t), async () => {
      setTimeout(
        () => {
          worker.write('alive')
          blockOwnLoop(beatMs * 0.9)
          isLate = true
        },
        leadMs + beatMs / 2
      )
      return here
    })
    await eventually('its time is up', () => isLate || watch.alarms.length > 0)
    await eventually('it is asked again', () => watch.asked.length > 1 || watch.alarms.length > 0)
    assert.deepEqual(watch.alarms, [])
  })

  test('while a debugger has paused it', async (t) => {
    let where: StackSample = { type: 'paused' }
    const watch = new Watch(t, silent(t), async () => where)
    await eventually('it is asked again and again', () => watch.asked.length >= 3)
    assert.deepEqual(watch.alarms, [])
    where = here
    assert.deepEqual((await watch.alarm()).where, here)
  })

  test('when it has exited', async (t) => {
    const worker = started(t, 'sleep', '1000')
    const watch = new Watch(t, worker.pid)
    worker.kill('SIGKILL')
    await once(worker, 'exit')
    await alarmElsewhere(t)
    assert.deepEqual([watch.alarms, watch.asked], [[], []])
  })

  test('once the watchdog is stopped', async (t) => {
    const watch = new Watch(t, silent(t))
    await eventually('it is asked', () => watch.asked.length > 0)
    watch.dog.stop()
    await alarmElsewhere(t)
    assert.deepEqual(watch.alarms, [])
  })
})
