/** Jobs: nothing leaves them, and they end with their holder. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { suite, type TestContext, test } from 'node:test'
import type * as Creation from '../../../lib/platform/windows/create-process.js'
import type * as Streams from '../../../lib/platform/windows/standard-streams.js'
import type * as Starts from '../../../lib/platform/windows/start-process.js'
import { calls, exitOf, library, load, start, startNode, untilEmpty } from './calls.js'
import { openInput } from './pipes.js'
import { compiledProgram, program } from './programs.js'
import { Witness } from './witness.js'

const ERROR_ACCESS_DENIED = 5

suite('a job', () => {
  test('ends a tree of four within a second, the detached one too', async (context) => {
    const witness = await Witness.open(context)
    const job = calls.createJob()
    const leader = startNode(program('tree'), [witness.path], { job })
    const pids = await witness.sees(4)
    const members = calls.jobPids(job)
    assert.ok(pids.every((pid) => members.includes(pid)))
    calls.terminateJob(job, 42)
    await witness.sees(0, 1_000)
    assert.equal(calls.countActive(job), 0)
    assert.deepEqual(calls.jobPids(job), [])
    assert.equal(await leader.exit, 42)
    calls.closeHandle(job)
  })

  test('ends its processes when it is closed', async (context) => {
    const witness = await Witness.open(context)
    const job = calls.createJob()
    startNode(program('tree'), [witness.path], { job })
    await witness.sees(4)
    calls.closeHandle(job)
    await witness.sees(0, 1_000)
  })

  test('ends its processes when its holder is ended', async (context) => {
    const witness = await Witness.open(context)
    const holder = spawn(process.execPath, [compiledProgram('holder'), witness.path], { stdio: 'ignore' })
    await witness.sees(4)
    holder.kill('SIGKILL')
    await witness.sees(0, 2_000)
  })

  test('without a job, a tree outlives its first process', async (context) => {
    const witness = await Witness.open(context)
    const leader = spawn(process.execPath, [program('tree'), witness.path], { stdio: 'ignore' })
    await witness.sees(4)
    leader.kill('SIGKILL')
    await once(leader, 'exit')
    await witness.sees(3)
  })

  test('lists many members', async () => {
    const input = await openInput()
    const job = calls.createJob()
    // Each waits for a command to run.
    const started = Array.from({ length: 20 }, () =>
      start('cmd.exe', [], { job, stdio: [input.handle, 'ignore', 'ignore'] })
    )
    const pids = calls.jobPids(job)
    assert.ok(started.every(({ pid }) => pids.includes(pid)))
    assert.equal(pids.length, calls.countActive(job))
    assert.ok(calls.jobUsage(job).total >= 20)
    input.close()
    assert.deepEqual(new Set(await Promise.all(started.map(({ exit }) => exit))), new Set([0]))
    await untilEmpty(job)
    calls.closeHandle(job)
  })

  test('keeps a member from leaving', async () => {
    const member = startNode(compiledProgram('breaks-away'))
    assert.equal(await member.exit, ERROR_ACCESS_DENIED)
    const other = spawn(process.execPath, [compiledProgram('breaks-away')], { stdio: 'ignore' })
    assert.deepEqual(await once(other, 'exit'), [0, null])
  })
})

suite('a process is in its job before its first instruction', () => {
  const childStaysInJob = async (
    context: TestContext,
    startIn: (job: number, witness: string) => number
  ): Promise<boolean> => {
    const witness = await Witness.open(context)
    const job = calls.createJob()
    const leader = startIn(job, witness.path)
    const [child] = await witness.sees(1)
    const isIn = calls.jobPids(job).includes(child as number)
    await exitOf(leader)
    calls.closeHandle(job)
    if (isIn) await witness.sees(0, 1_000)
    return isIn
  }

  test('as the system creates it', async (context) => {
    const startIn = (job: number, witness: string): number =>
      startNode(program('forks-at-once'), [witness], { job }).process
    assert.ok(await childStaysInJob(context, startIn))
  })

  test('or suspended until it is in the job', async (context) => {
    const { loadCreateProcess } = await load<typeof Creation>('create-process')
    const { loadStartProcess } = await load<typeof Starts>('start-process')
    const { loadStandardStreamCalls } = await load<typeof Streams>('standard-streams')
    const createSuspended = loadCreateProcess(library, calls, false)
    const startProcess = loadStartProcess(library, loadStandardStreamCalls(library), calls, createSuspended)
    const startIn = (job: number, witness: string): number =>
      startNode(program('forks-at-once'), [witness], { job }, startProcess).process
    assert.ok(await childStaysInJob(context, startIn))
  })

  test('one that is put into the job later has a child outside', async (context) => {
    const witness = await Witness.open(context)
    const leader = spawn(process.execPath, [program('forks-at-once'), witness.path, 'stay'], {
      stdio: 'ignore'
    })
    const [child] = await witness.sees(1)
    const handle = calls.openProcess(leader.pid as number, true) as number
    const job = calls.createJob()
    calls.assignToJob(job, handle)
    assert.deepEqual(calls.jobPids(job), [leader.pid])
    calls.closeHandle(job)
    await exitOf(handle)
    assert.deepEqual([...witness.living.keys()], [child])
  })
})
