/**
 * The level `tree`, where processes are found by ps, as on macOS. It runs here with `/proc` out of sight: the
 * variable that chooses it is set from outside, and ps is the real one.
 */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { after, suite, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { ShownWorker } from '../lib/cli/shown-worker.js'
import { runCli } from './harness/cli.js'
import { type Death, deaths, deathsByTerminal } from './harness/deaths.js'
import { assertGone, eventually } from './harness/expectations.js'
import { Guarded } from './harness/guarded.js'
import { childrenOf } from './harness/proc.js'
import { goneMs } from './harness/served.js'
import { outOfSight, passesAtTreeLevel } from './harness/tree-level.js'
import { hideProc, whyNoHiding } from './harness/without-proc.js'
import { Worker, type WorkerSetup, whyNoTerminal } from './harness/worker.js'

// Before any guard is created: each process chooses once.
process.env.SUBPROCESS_GUARD_SYSTEM = 'posix'

const root = fileURLToPath(new URL('../../', import.meta.url))
const noHiding = whyNoHiding()
const hidden = hideProc()
after(hidden.remove)
/**
 * For programs that have to find each other's processes. Without root, each hides `/proc` in a user namespace of its
 * own, from which no environment of another one can be read. So `/proc` stays visible then, and is not used.
 */
const together = process.getuid?.() === 0 ? hidden.within : []

suite('at the level tree, the tests pass', () => {
  test('of test/tree.test.ts for small trees (faults 12, 14 and 16 to 20)', async (t) => {
    const only = 'background|group of its own|SIGTERM|exited with 0|stopped|everything is left'
    await passesAtTreeLevel(t, 'tree', { atLeast: 20, only })
  })

  test('which fail where the package looks into /proc', () => {
    const program = `
      import { createGuard } from 'fastify-subprocess-guard'
      await createGuard()`
    const { SUBPROCESS_GUARD_SYSTEM: _, ...env } = process.env
    const args = [...outOfSight, '--input-type=module', '--eval', program]
    const { status, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8', env })
    assert.notEqual(status, 0)
    assert.match(stderr, /the package has opened \/proc/)
  })
})

const programs = ['waits.sh', 'daemon.sh', 'tree-ignores-term.sh']
const processCount = 1 + 2 + 4
// What the worker starts without the guard. Each has a daemon.
const acts = ['start-apart', 'start-unannounced']
const actProcessCount = 2 + 2

suite('a worker that sees no /proc', { skip: noHiding }, () => {
  const within = hidden.within

  for (const launch of ['keeper', 'direct'] as const) {
    for (const death of deaths) {
      test(`and ${death.cause} leaves nothing (launch: '${launch}')`, async (t) => {
        const worker = await startBusy(t, { launch, within, nodeFlags: death.nodeFlags ?? [] })
        for (const act of acts) await worker.withScope(act)
        await worker.witness.present(processCount + actProcessCount)
        await dieAndLeaveNothing(worker, death)
        assert.deepEqual(worker.heirs(), [])
        const [line, ...others] = await worker.keeperLines()
        assert.deepEqual(others, [])
        assert.equal(line?.processes.length, processCount + actProcessCount)
      })
    }
  }

  for (const death of [...deaths.slice(0, 1), ...deathsByTerminal]) {
    test(`and ${death.cause} in a terminal leaves nothing`, {
      skip: whyNoTerminal() ?? false
    }, async (t) => {
      const worker = await startBusy(t, { within, terminal: true })
      await dieAndLeaveNothing(worker, death)
    })
  }

  test('and is killed together with its keeper leaves what the next keeper ends', async (t) => {
    const worker = await startBusy(t, { within: together })
    await worker.loseBoth()
    assert.equal(worker.witness.living().length, processCount)
    const next = await Worker.start({ within: together })
    t.after(() => next.close())
    await assertGone(worker)
  })

  test('and has no guard leaves everything', async (t) => {
    const worker = await startBusy(t, { within, guard: false })
    worker.kill('SIGKILL')
    await worker.dead()
    assert.equal(await worker.witness.goneWithin(goneMs), false)
    assert.equal(worker.witness.living().length, processCount)
  })
})

suite('what escapes at the level tree', () => {
  for (const [what, program] of [
    ['emptied its environment', 'daemon-empty-environment.sh'],
    ['blanked its mark', 'daemon-blank-mark.sh']
  ] as const) {
    test(`is a daemon that left its session and its parent and ${what}`, async (t) => {
      const guarded = await startGuarded(t)
      const scope = guarded.guard.open()
      guarded.run(scope, program)
      await guarded.witness.present(2)
      const { processes, survivors } = await scope.close()
      assert.deepEqual([processes.length, survivors], [1, []])
      await guarded.guard.close()
      assert.deepEqual(namesOf(guarded), ['daemon'])
    })
  }

  test('is not a daemon that only left its session and its parent', async (t) => {
    const guarded = await startGuarded(t)
    const scope = guarded.guard.open()
    guarded.run(scope, 'daemon.sh')
    await guarded.witness.present(2)
    assert.equal((await scope.close()).processes.length, 2)
    await assertGone(guarded)
  })
})

suite('without a list of processes', { skip: noHiding }, () => {
  const noList = hideProc('no list')
  const noPs = hideProc('none')
  after(noList.remove)
  after(noPs.remove)

  test('the log says so, and tree-kill ends what descends from a command', async (t) => {
    const worker = await startBusy(t, { within: noList.within }, ['own-group.sh', 'tree-ignores-term.sh'])
    worker.kill('SIGTERM')
    await worker.dead()
    await assertGone(worker)
    await worker.keeperDead()
    const output = await worker.output()
    assert.match(output, /subprocess containment is \\?"tree\\?"/)
    assert.match(output, /ps shows nothing: ps: this list is not allowed.*tree-kill/)
  })

  test('a daemon that left its parent escapes', async (t) => {
    const worker = await startBusy(t, { within: noList.within }, ['daemon.sh'])
    worker.kill('SIGTERM')
    await worker.dead()
    await worker.keeperDead()
    assert.deepEqual(namesOf(worker), ['daemon'])
  })

  test('and without ps registration fails, and says what is missing', () => {
    const program = `
      import { createGuard } from 'fastify-subprocess-guard'
      await createGuard().catch(({ code, message }) => console.log(code, message))`
    const [file = '', ...args] = [...noPs.within, process.execPath, '--input-type=module', '--eval', program]
    const { stdout, stderr } = spawnSync(file, args, { cwd: root, encoding: 'utf8' })
    assert.match(
      stdout,
      /^ERR_SUBPROCESS_KEEPER_START .*no processes are visible on linux: ps is neither in .*; install ps/,
      stderr
    )
  })
})

suite('the command, where it sees no /proc', { skip: noHiding }, () => {
  const run = (...args: string[]) => runCli(args, { via: together })

  test('ps asks the keeper, and shows its requests with their processes', async (t) => {
    const worker = await startBusy(t, { within: together })
    const { stdout, stderr } = await run('ps', '--json')
    assert.equal(stderr, '')
    const shown = (JSON.parse(stdout) as ShownWorker[]).find((one) => one.worker === worker.pid)
    const { state, keeper, containment, note, scopes = [] } = shown ?? {}
    assert.deepEqual([state, keeper, containment, note], ['running', worker.keeper, 'tree', null])
    assert.deepEqual(
      scopes.map((scope) => [scope.state, scope.route]),
      programs.map(() => ['open', 'GET /run'])
    )
    const processes = scopes.flatMap((scope) => scope.processes)
    assert.deepEqual(
      new Set(processes.map(({ pid }) => pid)),
      new Set(worker.witness.announced.map(({ pid }) => pid))
    )
    assert.ok(processes.every(({ memoryBytes }) => memoryBytes > 100_000))
  })

  test('sweep ends what a worker and its keeper have left, and its folders', async (t) => {
    const worker = await startBusy(t, { within: together })
    await worker.loseBoth()
    const { stdout, stderr } = await run('sweep', '--json')
    assert.equal(stderr, '')
    assert.equal(JSON.parse(stdout).length, processCount)
    await assertGone(worker)
  })

  test('doctor says which level there is, and tries it', async () => {
    const { status, stdout } = await run('doctor', '--json')
    const { containment, why, findings } = JSON.parse(stdout)
    assert.deepEqual([status, containment, why], [0, 'tree', null])
    const severities = findings.map(({ name, severity }: Record<string, string>) => [name, severity])
    for (const name of ['system', 'ps', 'environments']) {
      assert.ok(
        severities.some(([found, severity]: string[]) => found === name && severity === 'ok'),
        stdout
      )
    }
  })

  test('doctor says that the guard cannot run without ps', async (t) => {
    const { within, remove } = hideProc('none')
    t.after(remove)
    const { status, stdout } = await runCli(['doctor', '--json'], { via: within })
    const { containment, why } = JSON.parse(stdout)
    assert.deepEqual([status, containment], [1, 'none'])
    assert.match(why, /no list of processes: .*ps is neither in/)
  })
})

/** Starts a worker with one running request for each of the programs. */
async function startBusy(t: TestContext, setup: WorkerSetup, run = programs): Promise<Worker> {
  const worker = await Worker.start(setup)
  t.after(() => worker.close())
  for (const program of run) {
    worker.run(program)
    await worker.witness.present(worker.witness.announced.length + 1)
  }
  await worker.witness.present(run === programs ? processCount : run.length + 1)
  return worker
}

async function dieAndLeaveNothing(worker: Worker, { die, status }: Death): Promise<void> {
  die(worker)
  await worker.dead()
  await assertGone(worker)
  await worker.keeperDead()
  assert.deepEqual(worker.temporaryFiles(), [])
  if (status !== undefined) assert.equal(await worker.status(), status)
}

async function startGuarded(t: TestContext): Promise<Guarded> {
  const guarded = await Guarded.start()
  t.after(() => guarded.close())
  assert.equal(guarded.guard.containment, 'tree')
  await eventually('the keeper has started', () => childrenOf(guarded.guard.keeper).length === 0)
  return guarded
}

function namesOf({ witness }: Pick<Worker, 'witness'>): string[] {
  return witness.living().map(({ name }) => name)
}
