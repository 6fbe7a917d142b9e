/** When a worker ends, for any reason, all that it started ends (docs/faults.md, 31, 32 and 47). */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { suite, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { deaths, deathsByTerminal } from './harness/deaths.js'
import { assertGone, eventually } from './harness/expectations.js'
import { argumentsOf, environmentOf } from './harness/proc.js'
import { goneMs } from './harness/server.js'
import { allOfThem, startThousand } from './harness/thousand.js'
import { Witness } from './harness/witness.js'
import { Worker, type WorkerSetup, whyNoTerminal } from './harness/worker.js'

type Launch = 'keeper' | 'direct'

// Each program runs in its own request. The daemon with an empty environment immediately becomes an orphan of
// unknown origin, so it escapes a direct launch.
const programs: Record<Launch, readonly string[]> = {
  keeper: ['waits.sh', 'daemon.sh', 'tree-ignores-term.sh', 'daemon-empty-environment.sh'],
  direct: ['waits.sh', 'daemon.sh', 'tree-ignores-term.sh']
}
const processCounts: Record<Launch, number> = { keeper: 1 + 2 + 4 + 2, direct: 1 + 2 + 4 }
// The whole of one tree ignores SIGTERM.
const ignoringCount = 4
// What the worker starts without the guard. Each has a daemon.
const acts = ['start-apart', 'start-unannounced']
const actProcessCount = 2 + 2

const noTerminal = whyNoTerminal() ?? false

// In a terminal, Ctrl-C also reaches the processes that the worker itself has started.
for (const [where, launch, terminal] of [
  ['without a terminal', 'keeper', false],
  ['in a terminal', 'keeper', true],
  ['that starts its commands itself', 'direct', false]
] as const) {
  suite(`a worker ${where}`, { skip: terminal && noTerminal }, () => {
    for (const death of terminal ? [...deaths, ...deathsByTerminal] : deaths) {
      test(`that ${death.cause} leaves nothing`, async (t) => {
        const worker = await startBusy(t, { launch, terminal, nodeFlags: death.nodeFlags ?? [] })
        if (!terminal) for (const act of acts) await worker.withScope(act)
        const count = processCounts[launch] + (terminal ? 0 : actProcessCount)
        await worker.witness.present(count)
        assert.match(worker.temporaryFiles().join(), /^subprocess-guard-\w+$/)
        death.die(worker)
        await worker.dead()
        await assertGone(worker)
        await assertKeeperGone(worker)
        // The programs of the terminal also have the worker's environment.
        if (!terminal) assert.deepEqual(worker.heirs(), [])
        // Without the terminal its output is lost.
        if (death.status === undefined) return
        assert.equal(await worker.status(), death.status)
        await assertOneLine(worker, count)
      })
    }
  })
}

suite('a command that a worker has started without the guard', () => {
  test('ends with a worker that is killed while it waits for the command (execFileSync)', async (t) => {
    const worker = await Worker.start()
    t.after(() => worker.close())
    worker.startWithScope('wait-for-command')
    await worker.witness.present(2)
    worker.kill('SIGKILL')
    await worker.dead()
    await assertGone(worker)
    await assertKeeperGone(worker)
  })

  test('is left when the worker has closed its guard', async (t) => {
    const worker = await Worker.start()
    t.after(() => worker.close())
    await worker.withScope('start-apart')
    await worker.witness.present(2)
    worker.end('close')
    await worker.dead()
    await worker.keeperDead()
    assert.equal(await worker.witness.goneWithin(goneMs), false)
    assert.equal(worker.witness.living().length, 2)
  })

  test('is left when the worker has no guard', async (t) => {
    const worker = await Worker.start({ guard: false })
    t.after(() => worker.close())
    await worker.withScope('start-apart')
    await worker.witness.present(2)
    worker.kill('SIGKILL')
    await worker.dead()
    assert.equal(await worker.witness.goneWithin(goneMs), false)
    assert.equal(worker.witness.living().length, 2)
  })
})

test('a worker that is killed while its keeper starts leaves no keeper', async (t) => {
  const program = `
    import { createGuard } from 'fastify-subprocess-guard'
    createGuard()
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), Number(process.argv[1]))`
  // A keeper takes about 100 ms to start: kill the worker at different moments of the start.
  for (const ms of [0, 20, 40, 60, 80, 100, 150]) {
    const witness = new Witness()
    t.after(() => witness.close())
    const worker = spawn(process.execPath, ['--input-type=module', '-e', program, String(ms)], {
      cwd: fileURLToPath(new URL('../..', import.meta.url)),
      env: witness.env,
      stdio: 'ignore'
    })
    const [, signal] = await once(worker, 'exit')
    assert.equal(signal, 'SIGKILL')
    await eventually('the keeper is gone', () => witness.heirs().length === 0)
  }
})

test('a scope that is closing is still closed when its worker is killed', async (t) => {
  const worker = await Worker.start()
  t.after(() => worker.close())
  await worker.withScope('begin-to-close')
  worker.kill('SIGKILL')
  await worker.dead()
  await assertGone(worker)
  await assertKeeperGone(worker)
})

// Concurrent, since no test here measures time.
suite('a worker without the guard', { concurrency: true }, () => {
  for (const { cause, die, nodeFlags = [] } of [...deaths, ...deathsByTerminal]) {
    const terminal = deathsByTerminal.some((death) => death.cause === cause)

    test(`that ${cause} leaves everything`, { skip: terminal && noTerminal }, async (t) => {
      const worker = await startBusy(t, { terminal, nodeFlags, guard: false })
      die(worker)
      await worker.dead()
      assert.equal(await worker.witness.goneWithin(goneMs), false)
      assert.equal(worker.witness.living().length, processCounts.keeper)
    })
  }
})

suite('a worker with a thousand subprocesses', () => {
  for (const { cause, die, nodeFlags = [] } of deaths) {
    test(`that ${cause} while it starts them leaves nothing`, async (t) => {
      const worker = await startThousand({ nodeFlags })
      t.after(() => worker.close())
      await worker.witness.present(100)
      die(worker)
      await worker.dead()
      await assertGone(worker)
      await assertKeeperGone(worker)
      assert.ok(
        worker.witness.announced.length < allOfThem,
        'all had been started already: the test proves nothing'
      )
      // A process that has not opened the witness yet still has the environment.
      assert.deepEqual(worker.heirs(), [])
    })
  }
})

suite('a worker whose Node has a preload, an inspector and a heap limit', () => {
  const preload = fileURLToPath(new URL('./harness/worker-preload.js', import.meta.url))
  const flags = [`--require=${preload}`, '--inspect=127.0.0.1:0', '--max-old-space-size=256']

  for (const [where, setup] of [
    ['in NODE_OPTIONS', { env: { NODE_OPTIONS: flags.map((flag) => JSON.stringify(flag)).join(' ') } }],
    ['on its command line', { nodeFlags: flags }]
  ] as const) {
    test(`${where} has a keeper without them`, async (t) => {
      const worker = await Worker.start(setup)
      t.after(() => worker.close())
      worker.run('tells-node-options.sh')
      await worker.witness.present(1)
      // The keeper was ready before the command started: it would have announced the preload by now.
      assert.deepEqual(worker.said('preloaded'), [String(worker.pid)])
      const { keeper } = worker
      const variables = environmentOf(keeper as number).map((entry) => entry.split('=')[0])
      assert.ok(!variables.includes('NODE_OPTIONS'))
      const keeperArgs = argumentsOf(keeper as number)
      assert.deepEqual(
        flags.filter((flag) => keeperArgs.includes(flag)),
        []
      )
      const expected = 'env' in setup ? setup.env.NODE_OPTIONS : (process.env.NODE_OPTIONS ?? '')
      assert.deepEqual(worker.said('options'), [expected])
      worker.kill('SIGKILL')
      await worker.dead()
      await assertGone(worker)
      await assertKeeperGone(worker)
      const inspectors = (await worker.output()).match(/^Debugger listening on /gm)
      assert.equal(inspectors?.length, 1)
    })
  }
})

/** Starts a worker with one running request for each of the programs. */
async function startBusy(t: TestContext, setup: WorkerSetup & { launch?: Launch }): Promise<Worker> {
  const worker = await Worker.start(setup)
  t.after(() => worker.close())
  const { launch = 'keeper' } = setup
  for (const program of programs[launch]) worker.run(program)
  await worker.witness.present(processCounts[launch])
  return worker
}

/** Asserts that the keeper exits and removes its directory. */
async function assertKeeperGone(worker: Worker): Promise<void> {
  await worker.keeperDead()
  assert.deepEqual(worker.temporaryFiles(), [])
}

/** Asserts that exactly one line reports every process and how it was ended. */
async function assertOneLine(worker: Worker, count: number): Promise<void> {
  const lines = await worker.keeperLines()
  assert.equal(lines.length, 1, JSON.stringify(lines))
  const [line] = lines
  assert.equal(line?.worker, worker.pid)
  assert.equal(line?.msg, `worker ${worker.pid} is gone: ended ${count} processes, 0 survived`)
  const named = line?.processes.map(({ pid }) => pid)
  assert.deepEqual(new Set(named), new Set(worker.witness.announced.map(({ pid }) => pid)))
  const killed = line?.processes.filter(({ ended }) => ended === 'SIGKILL')
  assert.equal(killed?.length, ignoringCount)
}
