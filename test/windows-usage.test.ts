/** What commands have used, as the job objects of Windows tell it. The system calls are played: this runs everywhere. */

import assert from 'node:assert/strict'
import { afterEach, suite, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type * as CensusModule from '../lib/containment/container-census.js'
import type * as RecordModule from '../lib/containment/scope-record.js'
import type * as LookModule from '../lib/keeper/scope-look.js'
import type * as JobsModule from '../lib/platform/windows/job-containers.js'
import type { JobUsage } from '../lib/platform/windows/job-objects.js'
import type * as ListModule from '../lib/platform/windows/process-list.js'
import type { WindowsCalls } from '../lib/platform/windows/windows-calls.js'
import { compiled } from './harness/compiled.js'

const { ContainerCensus }: typeof CensusModule = await compiled('containment/container-census')
const { ScopeRecord }: typeof RecordModule = await compiled('containment/scope-record')
const { lookAt }: typeof LookModule = await compiled('keeper/scope-look')
const { jobContainers }: typeof JobsModule = await compiled('platform/windows/job-containers')
const { statOf, useProcessList }: typeof ListModule = await compiled('platform/windows/process-list')

interface Job {
  readonly pids: number[]
  cpuMs: number
}

/** Processes whose pids are their handles, too, and job objects that count what the test says. */
class PlayedWindows {
  readonly jobs: Job[] = []
  readonly #ended = new Map<number, () => void>()
  #pid = 1_000

  constructor() {
    const process = { name: 'played.exe', threads: 1, session: 1, createdAt: 1, cpuMs: 0, memoryBytes: 1 }
    useProcessList(
      () => [...this.#parents].map(([pid, parent]) => ({ ...process, pid, parent })),
      () => undefined
    )
  }

  readonly #parents = new Map<number, number>()

  /** A process that runs already. */
  run(parent: number): number {
    const pid = this.#pid++
    this.#parents.set(pid, parent)
    return pid
  }

  end(pid: number): void {
    for (const { pids } of this.jobs) if (pids.includes(pid)) pids.splice(pids.indexOf(pid), 1)
    this.#ended.get(pid)?.()
  }

  /** Only what a container calls here. */
  calls(): WindowsCalls {
    const job = (handle: number): Job => this.jobs[handle - 1] as Job
    const usageOf = (handle: number): JobUsage => ({
      active: job(handle).pids.length,
      total: 1,
      userUs: job(handle).cpuMs * 1_000,
      systemUs: 0,
      pageFaults: 0,
      peakProcessBytes: 1_024_000
    })
    return {
      createJob: () => this.jobs.push({ pids: [], cpuMs: 0 }),
      startProcess: (start: { readonly job: number }) => {
        const pid = this.run(1)
        job(start.job).pids.push(pid)
        return { pid, process: pid }
      },
      openProcess: (pid: number) => pid,
      hasEnded: () => false,
      assignToJob: (handle: number, pid: number) => void job(handle).pids.push(pid),
      onceEnded: (pid: number, act: () => void) => void this.#ended.set(pid, act),
      exitCodeOf: () => 0,
      closeHandle: () => {},
      jobPids: (handle: number) => job(handle).pids,
      countActive: (handle: number) => job(handle).pids.length,
      jobUsage: usageOf
    } as unknown as WindowsCalls
  }
}

function open() {
  const windows = new PlayedWindows()
  const census = new ContainerCensus(jobContainers(windows.calls()))
  const scope = new ScopeRecord(1, 'mark', { graceMs: 0, killSignal: 'SIGKILL' }, undefined)
  census.open(scope)
  const start = (number: number): number => {
    const events = { failed() {}, exited() {} }
    const command = { file: 'played', args: [], cwd: '', env: {}, stdio: [] }
    const more = { windowsHide: false, windowsVerbatimArguments: false }
    return census.start(scope, number, { ...command, ...more }, events)?.pid as number
  }
  return { windows, census, scope, start }
}

suite('on Windows, the usage of a scope', () => {
  // The list of processes is kept for a turn.
  afterEach(() => turn())

  test('includes processes that have ended in the job of a running command, and commands that have ended', () => {
    const { windows, census, scope, start } = open()
    const [first, second] = [start(1), start(2)]
    Object.assign(windows.jobs[0] as Job, { cpuMs: 3_000 })
    Object.assign(windows.jobs[1] as Job, { cpuMs: 1_000 })
    windows.end(second)
    census.leaderEnded(scope, second)
    assert.equal(lookAt(scope, census.members(scope), census).cpuMs, 4_000)
    assert.equal(scope.usage.total({}, census.usageOf(scope)).cpuMs, 4_000)
    windows.end(first)
    census.leaderEnded(scope, first)
    assert.deepEqual(scope.usage.total({}, census.usageOf(scope)), {
      cpuMs: 4_000,
      peakMemoryBytes: 1_024_000,
      peakProcesses: 1
    })
  })

  test('includes what an adopted process has started before, even in the same turn', () => {
    const { windows, census, scope } = open()
    const root = windows.run(1)
    assert.ok(statOf(root) !== undefined)
    const child = windows.run(root)
    census.adopt(scope, { pid: root, startTick: 1 }, 1)
    assert.deepEqual(
      windows.jobs.map(({ pids }) => pids),
      [[root], [child]]
    )
    Object.assign(windows.jobs[0] as Job, { cpuMs: 2_000 })
    Object.assign(windows.jobs[1] as Job, { cpuMs: 5_000 })
    assert.equal(census.usageOf(scope).cpuMs, 7_000)
    for (const pid of [root, child]) windows.end(pid)
    census.adoptedExited(scope, root)
    assert.equal(scope.usage.total({}).cpuMs, 7_000)
  })
})
