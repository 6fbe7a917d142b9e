/** When the watchdog reports a worker as hung and when it does not, with real processes as workers. */

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type * as WatchdogModule from '../lib/keeper/hung-worker-watchdog.js'
import type * as IntervalModule from '../lib/wire/heartbeat-interval.js'
import type { StackSample } from '../lib/wire/stack-sample.js'
import { compiled } from './harness/compiled.js'
import { eventually } from './harness/expectations.js'
import { statOf } from './harness/proc.js'

// Not exported by the package: import the compiled files.
const { Watchdog }: typeof WatchdogModule = await compiled('keeper/hung-worker-watchdog')
const { heartbeatIntervalMs }: typeof IntervalModule = await compiled('wire/heartbeat-interval')
const beatingWorker = fileURLToPath(new URL('./harness/beating-main.js', import.meta.url))

const timeoutMs = 1_000
const heartbeatMs = heartbeatIntervalMs(timeoutMs)
// For the test that blocks almost until the timeout: load on the machine must not push it past the timeout.
const longTimeoutMs = 3_000
const limitMs = timeoutMs + heartbeatMs
const leadMs = timeoutMs / 4

const here: StackSample = { type: 'stack', stack: 'at here', route: 'GET /here' }
const never = new Promise<never>(() => {})

/** A watchdog that records its questions and its alarms. */
class RecordingWatchdog {
  readonly askedAt: number[] = []
  readonly alarms: { silentMs: number; where: StackSample; at: number }[] = []
  readonly watchdog: InstanceType<typeof Watchdog>

  constructor(t: TestContext, worker: number, answer = async () => here, ms = timeoutMs) {
    this.watchdog = new Watchdog({
      worker,
      timeoutMs: ms,
      askWhere: () => {
        this.askedAt.push(performance.now())
        return answer()
      },
      onHung: (silentMs, where) => this.alarms.push({ silentMs, where, at: performance.now() })
    })
    t.after(() => this.watchdog.stop())
  }

  async firstAlarm() {
    await eventually('an alarm', () => this.alarms.length > 0)
    return this.alarms[0] as (typeof this.alarms)[0]
  }
}

function startProcess(t: TestContext, file: string, ...args: string[]): ChildProcess & { pid: number } {
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  })
  return child as ChildProcess & { pid: number }
}

/** A process that never sends anything, like a blocked worker. Returns its pid. */
function startSilent(t: TestContext): number {
  return startProcess(t, 'sleep', '1000').pid
}

/** A worker that sends heartbeats, and the watchdog that receives them. */
async function startBeating(t: TestContext, ms = timeoutMs) {
  const child = startProcess(t, process.execPath, beatingWorker, String(heartbeatIntervalMs(ms)))
  await once(child.stdout as NonNullable<typeof child.stdout>, 'data')
  const watch = new RecordingWatchdog(t, child.pid, undefined, ms)
  let output = ''
  child.stdout?.on('data', (text: Buffer) => {
    output += text
    watch.watchdog.alive()
  })
  const folder = mkdtempSync(join(tmpdir(), 'beating-'))
  t.after(() => rmSync(folder, { recursive: true }))
  let blocks = 0
  /** Blocks the worker. Returns a function that ends the block. */
  const block = (): (() => void) => {
    const path = join(folder, String(++blocks))
    child.stdin?.write(`${path}\n`)
    return () => writeFileSync(path, '')
  }
  const endedBlocks = (): number => output.split('over').length - 1
  return { child, watch, block, endedBlocks, output: () => output }
}

/**
 * Resolves when a second watchdog reports a second worker as hung. By then, any alarm of the first was due.
 */
async function waitForOtherAlarm(t: TestContext): Promise<void> {
  await new RecordingWatchdog(t, startSilent(t)).firstAlarm()
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
  test('is reported as hung once, with its stack', async (t) => {
    const { watch, block } = await startBeating(t)
    block()
    const { silentMs, where } = await watch.firstAlarm()
    assert.ok(silentMs > limitMs, `${silentMs} ms`)
    assert.deepEqual(where, here)
    await waitForOtherAlarm(t)
    assert.equal(watch.alarms.length, 1)
  })

  test('is asked for its stack before the timeout, so that the alarm need not wait for the answer', async (t) => {
    const startedAt = performance.now()
    const watch = new RecordingWatchdog(t, startSilent(t))
    const { at } = await watch.firstAlarm()
    // The watchdog asks again whenever the machine has starved this process: the last question counts.
    const askedAt = watch.askedAt.at(-1) as number
    for (const [i, next] of watch.askedAt.slice(1).entries()) {
      assert.ok(next - (watch.askedAt[i] as number) >= timeoutMs - leadMs, 'asked twice in one silence')
    }
    assert.ok(askedAt - startedAt >= timeoutMs - leadMs, `asked after ${askedAt - startedAt} ms`)
    assert.ok(at - askedAt >= heartbeatMs, `asked ${at - askedAt} ms before the alarm`)
  })

  test('is reported as hung even when it does not answer', async (t) => {
    const { where } = await new RecordingWatchdog(t, startSilent(t), () => never).firstAlarm()
    assert.equal(where.type, 'unknown')
    assert.match(where.why, /^no answer within \d+ ms$/)
  })

  test('is reported as hung even when asking for its stack fails', async (t) => {
    const watch = new RecordingWatchdog(t, startSilent(t), () => Promise.reject(new Error('nobody there')))
    assert.deepEqual((await watch.firstAlarm()).where, { type: 'unknown', why: 'Error: nobody there' })
  })

  test('is not reported with the stack of an earlier silence', async (t) => {
    const answers: ((where: StackSample) => void)[] = []
    const watch = new RecordingWatchdog(
      t,
      startSilent(t),
      () => new Promise((resolve) => answers.push(resolve))
    )
    await eventually('the stack is asked for', () => answers.length > 0)
    watch.watchdog.alive()
    answers[0]?.({ type: 'stack', stack: 'at a former place' })
    assert.equal((await watch.firstAlarm()).where.type, 'unknown')
    assert.ok(answers.length > 1)
  })
})

suite('a worker is not reported as hung', () => {
  test('when it blocks for less than its timeout', async (t) => {
    const { watch, block, endedBlocks } = await startBeating(t, longTimeoutMs)
    for (let times = 1; times <= 2; times++) {
      const unblock = block()
      // The watchdog asks shortly before the timeout.
      await eventually('the timeout is near', () => watch.askedAt.length === times)
      unblock()
      await eventually('the block is over', () => endedBlocks() === times)
    }
    assert.deepEqual(watch.alarms, [])
    block()
    await watch.firstAlarm()
  })

  test('while it is stopped, nor when it is continued', async (t) => {
    const { child, watch, block, output } = await startBeating(t)
    child.kill('SIGSTOP')
    await eventually('the worker is stopped', () => statOf(child.pid)?.state === 'T')
    for (let times = 0; times < 2; times++) await waitForOtherAlarm(t)
    const before = output()
    child.kill('SIGCONT')
    await eventually('a heartbeat', () => output() > before)
    assert.deepEqual([watch.alarms, watch.askedAt], [[], []])
    block()
    await watch.firstAlarm()
  })

  test('until its full timeout has passed since it was continued', async (t) => {
    const worker = startSilent(t)
    const watch = new RecordingWatchdog(t, worker)
    process.kill(worker, 'SIGSTOP')
    await waitForOtherAlarm(t)
    const continuedAt = performance.now()
    process.kill(worker, 'SIGCONT')
    const { at } = await watch.firstAlarm()
    assert.ok(at - continuedAt > limitMs, `after ${at - continuedAt} ms`)
  })

  test('while the keeper itself is stalled, nor until the full timeout has passed after that', async (t) => {
    const watch = new RecordingWatchdog(t, startSilent(t))
    blockOwnLoop(limitMs + 5 * heartbeatMs)
    const resumedAt = performance.now()
    const { at } = await watch.firstAlarm()
    assert.ok(at - resumedAt > limitMs, `after ${at - resumedAt} ms`)
  })

  test('while its heartbeats wait in the socket of a busy keeper', async (t) => {
    const { watch, block } = await startBeating(t)
    for (let times = 0; times < 20; times++) {
      blockOwnLoop(limitMs / 4)
      // One turn of the event loop: timers run before sockets are read.
      await new Promise((resolve) => setTimeout(resolve, 0))
    }
    assert.deepEqual(watch.alarms, [])
    block()
    await watch.firstAlarm()
  })

  test('when its message has arrived but is still unread at the timeout', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'watchdog-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const server = createServer((socket) => socket.on('data', () => watch.watchdog.alive()))
    server.listen(join(folder, 'socket'))
    t.after(() => server.close())
    const worker = connect(join(folder, 'socket'))
    await once(worker, 'connect')
    t.after(() => worker.destroy())
    let isLate = false
    const watch = new RecordingWatchdog(t, startSilent(t), async () => {
      setTimeout(
        () => {
          worker.write('alive')
          blockOwnLoop(heartbeatMs * 0.9)
          isLate = true
        },
        leadMs + heartbeatMs / 2
      )
      return here
    })
    await eventually('the timeout has passed', () => isLate || watch.alarms.length > 0)
    await eventually('the watchdog asks again', () => watch.askedAt.length > 1 || watch.alarms.length > 0)
    assert.deepEqual(watch.alarms, [])
  })

  test('while a debugger has paused it', async (t) => {
    let where: StackSample = { type: 'paused' }
    const watch = new RecordingWatchdog(t, startSilent(t), async () => where)
    await eventually('the watchdog asks repeatedly', () => watch.askedAt.length >= 3)
    assert.deepEqual(watch.alarms, [])
    where = here
    assert.deepEqual((await watch.firstAlarm()).where, here)
  })

  test('when it has exited', async (t) => {
    const worker = startProcess(t, 'sleep', '1000')
    const watch = new RecordingWatchdog(t, worker.pid)
    worker.kill('SIGKILL')
    await once(worker, 'exit')
    await waitForOtherAlarm(t)
    assert.deepEqual([watch.alarms, watch.askedAt], [[], []])
  })

  test('after the watchdog was stopped', async (t) => {
    const watch = new RecordingWatchdog(t, startSilent(t))
    await eventually('the watchdog asks', () => watch.askedAt.length > 0)
    watch.watchdog.stop()
    await waitForOtherAlarm(t)
    assert.deepEqual(watch.alarms, [])
  })
})
