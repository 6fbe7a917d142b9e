/**
 * Only processes that certainly belong to a scope are ended: a mark, or the id of a session, is no proof
 * (docs/faults.md, 64, 66 and 92).
 */

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

const launchMethods: readonly (readonly [method: string, setup: WorkerSetup])[] = [
  ['by its keeper', { launch: 'keeper' }],
  ['by direct launch', { launch: 'direct' }],
  ['where containment is "marks"', { env: { GUARD_PACKAGE: withoutKoffi.url } }]
]

// The names of the processes of `asks-service.sh`; `allNames` adds the program that the service starts for
// it.
const ownNames = ['daemon', 'waits']
const allNames = [...ownNames, 'served']

/** The ways in which a scope ends. */
const endings: readonly (readonly [when: string, end: (worker: Worker) => Promise<unknown>])[] = [
  ['its scope closes', closeScope],
  ['the worker is killed', killWorker],
  ['the keeper is killed', killKeeper],
  ['both are killed, and a sweep follows', killBothAndSweep]
]

for (const [method, setup] of launchMethods) {
  suite(`a program that a service has started for a command ${method}, with the command’s environment`, () => {
    for (const [when, end] of endings) {
      test(`lives on when ${when}, unlike a daemon of the command`, async (t) => {
        const env = await startService(t)
        const worker = await startAsking(t, { ...setup, env: { ...setup.env, ...env } })
        await end(worker)
        await assertOwnGone(worker)
      })
    }
  })

  // The supervisor is an ancestor of the worker but no subreaper: it started all of its children itself.
  suite(`a program that the worker's supervisor has started for a command ${method}`, () => {
    for (const [when, end] of endings) {
      test(`lives on when ${when}, unlike a daemon of the command`, async (t) => {
        const { command, env } = serviceAt(t)
        const worker = await startAsking(t, { ...setup, within: command, env: { ...setup.env, ...env } })
        await end(worker)
        await assertOwnGone(worker)
      })
    }
  })

  suite(`below a subreaper, a daemon of a command ${method}`, () => {
    for (const [when, end] of endings.slice(0, 3)) {
      test(`ends when ${when}, unlike what a service has started`, async (t) => {
        const env = { ...setup.env, ...(await startService(t)), SUBREAPER: '' }
        const worker = await startAsking(t, { ...setup, within: serviceAt(t).command, env })
        await end(worker)
        await assertOwnGone(worker)
      })
    }

    test('ends when both are killed and the subreaper has started another worker', async (t) => {
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

test('after a worker was killed, each process that it had adopted is reported once', async (t) => {
  const worker = await Worker.start()
  t.after(() => worker.close())
  await worker.withScope('adopt-stubborn')
  const announced = await worker.witness.present(4)
  worker.kill('SIGKILL')
  const [line] = await worker.keeperLines()
  assert.deepEqual(sorted(line?.processes.map(({ pid }) => pid)), sorted(announced.map(({ pid }) => pid)))
})

/** Starts a worker with a command that has a daemon and has had the service start a program. */
async function startAsking(t: TestContext, setup: WorkerSetup): Promise<Worker> {
  const worker = await Worker.start(setup)
  t.after(() => worker.close())
  worker.startWithScope('ask-service')
  await worker.witness.present(allNames.length)
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

/** Asserts that the scope reports exactly its own processes as ended. */
async function assertClosed(worker: Worker): Promise<void> {
  await eventually('the scope is closed', () => worker.said('closed').length === 1)
  const closed: number[] = JSON.parse(worker.said('closed')[0] as string)
  const { announced } = worker.witness
  const names = closed.map((pid) => announced.find((one) => one.pid === pid)?.name)
  assert.deepEqual(names.sort(), ownNames)
}

async function killBothAndSweep(worker: Worker): Promise<void> {
  await worker.loseBoth()
  const { announced } = worker.witness
  const ours = sorted(announced.filter(({ name }) => ownNames.includes(name)).map(({ pid }) => pid))
  const { processes } = await sweep({ dryRun: true })
  assert.deepEqual(sorted(processes.map(({ pid }) => pid)), ours)
  assert.deepEqual(sorted((await sweep()).processes.map(({ pid }) => pid)), ours)
}

async function assertOwnGone(worker: Worker): Promise<void> {
  await eventually(
    'the scope’s own processes are gone',
    () => !namesOf(worker).some((name) => ownNames.includes(name))
  )
  assert.deepEqual(namesOf(worker), ['served'])
}

function namesOf({ witness }: Worker): string[] {
  return witness.living().map(({ name }) => name)
}

function sorted(pids: readonly number[] = []): number[] {
  return [...pids].sort((a, b) => a - b)
}
