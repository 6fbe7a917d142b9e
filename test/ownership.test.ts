/** Only what is surely ours is ended: a mark, or the number of a session, is no proof (FAULTS 64, 66 and 92). */

import assert from 'node:assert/strict'
import { suite, type TestContext, test } from 'node:test'
import { eventually } from './harness/expectations.js'
import { end } from './harness/proc.js'
import { serviceAt, startService } from './harness/service.js'
import { sweep } from './harness/sweeper.js'
import { installWithoutKoffi } from './harness/without-koffi.js'
import { Worker, type WorkerSetup } from './harness/worker.js'

const withoutKoffi = await installWithoutKoffi()
process.once('exit', withoutKoffi.remove)

const ways: readonly (readonly [way: string, setup: WorkerSetup])[] = [
  ['by its keeper', { launch: 'keeper' }],
  ['by direct launch', { launch: 'direct' }],
  ['where containment is "marks"', { env: { GUARD_PACKAGE: withoutKoffi.url } }]
]

// What `asks-service.sh` is and starts, and what the service starts for it.
const own = ['daemon', 'waits']
const all = [...own, 'served']

/** What a worker does to end, and what ends its processes then. */
const endings: readonly (readonly [when: string, end: (worker: Worker) => Promise<unknown>])[] = [
  ['its scope closes', closeScope],
  ['the worker is killed', killWorker],
  ['the keeper is killed', killKeeper],
  ['both are killed, and a sweep follows', killBothAndSweep]
]

for (const [way, setup] of ways) {
  suite(`a program that a service has started for a command ${way}, with the environment of that`, () => {
    for (const [when, end] of endings) {
      test(`lives when ${when}, and a daemon of the command does not`, async (t) => {
        const env = await startService(t)
        const worker = await startAsking(t, { ...setup, env: { ...setup.env, ...env } })
        await end(worker)
        await assertOwnGone(worker)
      })
    }
  })

  // Of the supervisor, which is above the worker, no orphan is a child: so whatever is has been started by it.
  suite(`a program that the worker's supervisor has started for a command ${way}`, () => {
    for (const [when, end] of endings) {
      test(`lives when ${when}, and a daemon of the command does not`, async (t) => {
        const { command, env } = serviceAt(t)
        const worker = await startAsking(t, { ...setup, within: command, env: { ...setup.env, ...env } })
        await end(worker)
        await assertOwnGone(worker)
      })
    }
  })

  suite(`below a subreaper, a daemon of a command ${way}`, () => {
    for (const [when, end] of endings.slice(0, 3)) {
      test(`is gone when ${when}, and what a service has started lives`, async (t) => {
        const env = { ...setup.env, ...(await startService(t)), SUBREAPER: '' }
        const worker = await startAsking(t, { ...setup, within: serviceAt(t).command, env })
        await end(worker)
        await assertOwnGone(worker)
      })
    }

    test('is gone when both are killed and the subreaper has started another worker', async (t) => {
      const env = { ...setup.env, ...(await startService(t)), SUBREAPER: '', RESTARTS: '1' }
      const worker = await startAsking(t, { ...setup, within: serviceAt(t).command, env })
      await worker.loseBoth()
      await eventually('there is another worker', () => worker.said('worker').length === 2)
      const next = JSON.parse(worker.said('worker')[1] as string)
      t.after(() => end(next.pid))
      await assertOwnGone(worker)
    })
  })
}

test('a worker that is killed counts each process that it had adopted once', async (t) => {
  const worker = await Worker.start()
  t.after(() => worker.close())
  await worker.withScope('adopt-stubborn')
  const announced = await worker.witness.present(4)
  worker.kill('SIGKILL')
  const [line] = await worker.keeperLines()
  assert.deepEqual(sorted(line?.processes.map(({ pid }) => pid)), sorted(announced.map(({ pid }) => pid)))
})

/** Starts a worker with a command that has asked the service for a program, and has a daemon. */
async function startAsking(t: TestContext, setup: WorkerSetup): Promise<Worker> {
  const worker = await Worker.start(setup)
  t.after(() => worker.close())
  worker.startWithScope('ask-service')
  await worker.witness.present(all.length)
  return worker
}

async function closeScope(worker: Worker): Promise<void> {
  worker.goOn()
  await assertClosed(worker)
}

async function killWorker(worker: Worker): Promise<void> {
  worker.kill('SIGKILL')
  await worker.dead()
  await worker.keeperDead()
}

async function killKeeper(worker: Worker): Promise<void> {
  process.kill(worker.keeper as number, 'SIGKILL')
  await assertClosed(worker)
}

/** The scope has ended what is its own, and so it says. */
async function assertClosed(worker: Worker): Promise<void> {
  await eventually('the scope is closed', () => worker.said('closed').length === 1)
  const closed: number[] = JSON.parse(worker.said('closed')[0] as string)
  const { announced } = worker.witness
  const names = closed.map((pid) => announced.find((one) => one.pid === pid)?.name)
  assert.deepEqual(names.sort(), own)
}

async function killBothAndSweep(worker: Worker): Promise<void> {
  await worker.loseBoth()
  const { announced } = worker.witness
  const ours = sorted(announced.filter(({ name }) => own.includes(name)).map(({ pid }) => pid))
  const { processes } = await sweep({ dryRun: true })
  assert.deepEqual(sorted(processes.map(({ pid }) => pid)), ours)
  assert.deepEqual(sorted((await sweep()).processes.map(({ pid }) => pid)), ours)
}

async function assertOwnGone(worker: Worker): Promise<void> {
  await eventually('its own are gone', () => !namesOf(worker).some((name) => own.includes(name)))
  assert.deepEqual(namesOf(worker), ['served'])
}

function namesOf({ witness }: Worker): string[] {
  return witness.living().map(({ name }) => name)
}

function sorted(pids: readonly number[] = []): number[] {
  return [...pids].sort((a, b) => a - b)
}
