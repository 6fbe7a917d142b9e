/**
 * A hung worker is ended, with everything that it has started, and the keeper logs where it hung (faults 34
 * to 37 in docs/faults.md).
 */

import assert from 'node:assert/strict'
import { suite, type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createGuard, type WorkerInfo } from 'fastify-subprocess-guard'
import { ask } from './harness/client.js'
import { Debugging } from './harness/debugging.js'
import { assertGone, eventually } from './harness/expectations.js'
import { statOf } from './harness/proc.js'
import { type KeeperLine, Worker, type WorkerSetup } from './harness/worker.js'

// In ms. On a busy machine a starting worker may be silent for a second.
const workerTimeout = 2_000
const hookOf = (name: string): string =>
  fileURLToPath(new URL(`../../test/programs/hooks/${name}.mjs`, import.meta.url))
const program = 'tree-ignores-term.sh'
const processCount = 4

async function start(t: TestContext, { options, ...setup }: WorkerSetup = {}): Promise<Worker> {
  const worker = await Worker.start({ ...setup, options: { workerTimeout, ...options } })
  t.after(() => worker.close())
  return worker
}

/** Resolves with the info that a hook got. */
async function infoOf(worker: Worker, hook: string): Promise<WorkerInfo> {
  await eventually(`${hook} is called`, () => worker.said(hook).length > 0)
  return JSON.parse(worker.said(hook)[0] as string)
}

async function lineOf(worker: Worker, text: string): Promise<KeeperLine> {
  const lines = (await worker.keeperLines()).filter(({ msg }) => msg.includes(text))
  assert.equal(lines.length, 1, JSON.stringify(lines))
  return lines[0] as KeeperLine
}

for (const launch of ['keeper', 'direct'] as const) {
  suite(`a worker whose event loop is blocked for longer than workerTimeout (${launch})`, () => {
    test('is aborted, after its subprocesses have ended and its hooks have run', async (t) => {
      const worker = await start(t, { launch, options: { hooks: hookOf('witnessed') } })
      await worker.hang(program, 'wait', processCount)
      const info = await infoOf(worker, 'workerAbort')
      // The hook is called once they are gone.
      assert.deepEqual(worker.witness.living(), [])
      assert.equal(await worker.status(), 128 + 6)
      const exit = await infoOf(worker, 'workerExit')
      assert.deepEqual(exit, info)
      await assertGone(worker)
      await worker.keeperDead()

      assert.equal(info.worker, worker.pid)
      assert.equal(info.why, 'hung')
      assert.ok((info.silentMs as number) >= workerTimeout, `${info.silentMs}`)
      assert.match(info.stack ?? String(info.whyNoStack), /worker-main\.js:\d+:\d+/)
      assert.equal(info.route, 'GET /hang/:then')
      const [scope, ...others] = info.scopes
      assert.deepEqual(others, [])
      assert.equal(scope?.route, 'GET /hang/:then')
      assert.deepEqual(
        new Set(scope?.processes.map(({ pid }) => pid)),
        new Set(worker.witness.announced.map(({ pid }) => pid))
      )
      for (const { command, ageMs, memoryBytes } of scope?.processes ?? []) {
        assert.match(command, /sleep|sh/)
        assert.ok(ageMs >= 0 && memoryBytes > 0)
      }

      const line = await lineOf(worker, 'hung for')
      const route = info.route as string
      assert.equal(
        line.msg,
        `worker ${worker.pid} hung for ${info.silentMs} ms in ${route}: ended 4 processes, 0 survived`
      )
      assert.equal(line.stack, info.stack)
    })

    test('is killed if SIGABRT does not end it', async (t) => {
      const worker = await start(t, { launch, env: { HEEDS_SIGABRT: '1' } })
      await worker.hang(program, 'wait', processCount)
      assert.equal(await worker.status(), 128 + 9)
      await assertGone(worker)
      await worker.keeperDead()
    })

    test('is aborted even if a hook throws, and that is logged', async (t) => {
      const worker = await start(t, { launch, options: { hooks: hookOf('throws') } })
      await worker.hang('waits.sh', 'wait', 1)
      assert.equal(await worker.status(), 128 + 6)
      const line = await lineOf(worker, 'the hook workerAbort failed')
      assert.match(String(line.why), /thrown by a hook/)
    })
  })
}

suite('a blocked worker', () => {
  test('that is killed while its subprocesses are being ended leaves none of them', async (t) => {
    const worker = await start(t, { options: { grace: 5_000 } })
    worker.run('waits.sh')
    await worker.witness.present(1)
    await worker.hang(program, 'wait', processCount)
    // The process that handles SIGTERM is gone; the others have the rest of the grace period.
    const isEnding = (): boolean => worker.witness.living().length === processCount
    await eventually('its subprocesses are being ended', isEnding)
    worker.kill('SIGKILL')
    await assertGone(worker)
    await worker.keeperDead()
  })

  test('in execFileSync loses its child, which is named in the report', async (t) => {
    // Long enough for the child to start before the time is up.
    const worker = await start(t, { options: { workerTimeout: 5_000, hooks: hookOf('witnessed') } })
    worker.startWithScope('wait-for-command')
    await worker.witness.present(2)
    const { stack, whyNoStack, unscoped } = await infoOf(worker, 'workerAbort')
    await assertGone(worker)
    assert.equal(await worker.status(), 128 + 6)
    assert.equal(stack, undefined)
    assert.match(whyNoStack as string, /background-child\.sh/)
    assert.ok(unscoped.some(({ command }) => command.includes('background-child.sh')))
  })

  test('is not ended without workerTimeout', async (t) => {
    const worker = await Worker.start()
    t.after(() => worker.close())
    const asked = await worker.hang(program, 'answer', processCount)
    await pause(2 * workerTimeout)
    worker.goOn()
    assert.equal((await asked.answer).status, 200)
  })

  test('is also ended by the successor of a lost keeper, which reports where it hung', async (t) => {
    const worker = await start(t, { options: { hooks: hookOf('witnessed') } })
    process.kill(worker.keeper as number, 'SIGKILL')
    await eventually('it has another keeper', () => worker.errors.includes('another keeper is starting'))
    // The next keeper starts this command, so it has the settings of the worker by then.
    worker.run('waits.sh')
    await worker.witness.present(1)
    await worker.hang('waits.sh', 'wait', 1)
    const { stack, whyNoStack } = await infoOf(worker, 'workerAbort')
    assert.match(stack ?? String(whyNoStack), /worker-main\.js/)
    assert.equal(await worker.status(), 128 + 6)
  })
})

// Run concurrently: each test mostly waits.
suite('there is no false alarm', { concurrency: true }, () => {
  const workerTimeout = 3_000

  /** Asserts that the worker is alive and serves. */
  async function assertServes(worker: Worker): Promise<void> {
    assert.equal((await ask(worker.port, '/nowhere').answer).status, 404)
    assert.doesNotMatch(worker.errors, /hung/)
  }

  test('for a block that is shorter than workerTimeout', async (t) => {
    // The gap between the two times leaves room for a busy machine.
    const worker = await start(t, { options: { workerTimeout: 10_000 } })
    for (let round = 0; round < 2; round++) {
      const answer = await ask(worker.port, '/block-for/2000').answer
      assert.equal(answer.body, 'unblocked')
    }
    await assertServes(worker)
  })

  test('for a worker that was stopped and continued', async (t) => {
    const worker = await start(t, { options: { workerTimeout } })
    for (let round = 0; round < 2; round++) {
      worker.kill('SIGSTOP')
      await eventually('it is stopped', () => statOf(worker.pid)?.state === 'T')
      await pause(2 * workerTimeout)
      worker.kill('SIGCONT')
      await assertServes(worker)
    }
  })

  test('for a worker and a keeper stopped together, as on a suspended machine', async (t) => {
    const worker = await start(t, { options: { workerTimeout } })
    for (let round = 0; round < 2; round++) {
      const pids = [worker.pid, worker.keeper as number]
      for (const pid of pids) process.kill(pid, 'SIGSTOP')
      await pause(2 * workerTimeout)
      for (const pid of pids.reverse()) process.kill(pid, 'SIGCONT')
      await assertServes(worker)
    }
  })

  test('for a worker that a debugger has paused', async (t) => {
    const worker = await start(t, { nodeFlags: ['--inspect=0'], options: { workerTimeout } })
    const debugging = await Debugging.attach(worker)
    t.after(() => debugging.close())
    void debugging.send('Debugger.pause')
    ask(worker.port, '/nowhere')
    await debugging.paused()
    await pause(3 * workerTimeout)
    assert.ok(debugging.isPaused)
    await debugging.send('Debugger.resume')
    await assertServes(worker)
  })
})

suite('the hook workerExit', () => {
  test('gets a killed worker and what it was running', async (t) => {
    const worker = await start(t, { options: { hooks: hookOf('witnessed') } })
    worker.run('waits.sh')
    await worker.withScope('start-apart')
    await worker.witness.present(1 + 2)
    worker.kill('SIGKILL')
    const { why, stack, scopes, unscoped } = await infoOf(worker, 'workerExit')
    assert.equal(why, 'gone')
    assert.equal(stack, undefined)
    assert.deepEqual(
      scopes.map(({ route, processes }) => [route, processes.length]),
      [
        ['GET /run', 1],
        ['GET /with-scope/:act', 0]
      ].slice(0, scopes.length)
    )
    assert.ok(unscoped.length >= 1)
    await assertGone(worker)
    await worker.keeperDead()
    assert.deepEqual(worker.said('workerAbort'), [])
  })

  test('is not called for a worker that closes its guard', async (t) => {
    const worker = await start(t, { options: { hooks: hookOf('witnessed') } })
    worker.end('close')
    assert.equal(await worker.status(), 0)
    await worker.keeperDead()
    assert.deepEqual(worker.said('workerExit'), [])
  })
})

suite('registration', () => {
  test('rejects hooks that cannot be run', async () => {
    for (const [hooks, why] of [
      ['/no/such/module.mjs', /hooks is "file:\/\/\/no\/such\/module\.mjs": .*no usable hooks/s],
      ['./hooks.js', /hooks is "\.\/hooks\.js": set it to new URL/],
      [new URL('https://example.org/hooks.js'), /hooks is .*: set it to new URL/]
    ] as const) {
      await assert.rejects(createGuard({ hooks }), (error: Error) => {
        assert.ok(error instanceof TypeError)
        assert.match(error.message, why)
        return true
      })
    }
  })

  test('rejects an invalid workerTimeout', async () => {
    for (const value of [0, 99, -1, 1.5, Number.NaN, '1000', true, null]) {
      await assert.rejects(createGuard({ workerTimeout: value as never }), /workerTimeout is /)
    }
  })

  test('rejects a workerTimeout that differs from that of another guard of the worker', async (t) => {
    const guard = await createGuard({ workerTimeout: 5_000 })
    t.after(() => guard.close())
    await assert.rejects(
      createGuard({ workerTimeout: 6_000 }),
      /workerTimeout is 6000: another guard of this worker has 5000/
    )
    const other = await createGuard()
    await other.close()
    assert.notEqual(guard.keeper, 0)
  })
})
