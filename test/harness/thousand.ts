/** A worker with a thousand subprocesses, and how long they take to end. */

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { assertGone } from './expectations.js'
import { Worker, type WorkerSetup } from './worker.js'

// A daemon with an empty environment beside every twentieth of them.
const requests: [string, number][] = [['daemon-empty-environment.sh', 50]]
for (let i = 0; i < 19; i++) requests.push(['waits.sh', 50])

/** How many processes that makes. */
export const allOfThem = 1_050

// What is promised of the median of so many.
const deadMs = 250
const allRounds = 10
// On a slower machine, or one that has other work, bare signals alone take most of that: then so many times what they take. A quiet machine
// has 1.5 to 1.9.
const timesBare = 2.5
const fewRounds = 5

/** Starts a worker that has begun to start them. */
export async function startThousand(setup: WorkerSetup = {}): Promise<Worker> {
  const worker = await Worker.start(setup)
  for (const [program, times] of requests) worker.run(program, times)
  return worker
}

/**
 * Asserts that they are dead 250 ms after their worker was killed, in the median of ten workers. Fewer will do where their median
 * is within the bound: `enough` of them.
 */
export async function assertSoonDead(t: TestContext, enough: number): Promise<void> {
  const figures: number[] = []
  while (figures.length < enough) figures.push(await killWithThousand())
  if (medianOf(figures) > deadMs) await addRounds()
  t.diagnostic(`until none was alive, in ms: ${figures.join(', ')}; median ${medianOf(figures)}`)

  /** In turn with bare signals, so that both have the same of what else the machine does. */
  async function addRounds(): Promise<void> {
    const [guarded, bare]: [number[], number[]] = [[], []]
    while (bare.length < Math.max(allRounds - enough, fewRounds)) {
      guarded.push(await killWithThousand())
      bare.push(await signalThousand())
    }
    figures.push(...guarded)
    t.diagnostic(`with the guard, and by bare signals, in ms: ${guarded.join(', ')}; ${bare.join(', ')}`)
    const isSoon = medianOf(figures) <= deadMs || medianOf(guarded) <= timesBare * medianOf(bare)
    assert.ok(isSoon, `the median is ${medianOf(figures)} ms`)
  }
}

/** How long after SIGKILL the last of a thousand was dead, in ms. */
async function killWithThousand(): Promise<number> {
  const worker = await startThousand()
  try {
    await worker.witness.present(allOfThem)
    const killedAt = performance.now()
    worker.kill('SIGKILL')
    await assertGone(worker)
    const ms = Math.round(performance.now() - killedAt)
    await worker.keeperDead()
    return ms
  } finally {
    worker.close()
  }
}

/** How long one SIGTERM to each of the thousand takes, from a program that does nothing else, in ms. */
async function signalThousand(): Promise<number> {
  const worker = await startThousand({ guard: false })
  try {
    const announced = await worker.witness.present(allOfThem)
    const sentAt = performance.now()
    // Their leaders' numbers: none has been reaped, since the worker lives.
    for (const { pid } of announced) process.kill(pid, 'SIGTERM')
    await assertGone(worker)
    return Math.round(performance.now() - sentAt)
  } finally {
    worker.close()
  }
}

function medianOf(figures: readonly number[]): number {
  const sorted = [...figures].sort((a, b) => a - b)
  const middle = sorted.length / 2
  return ((sorted[Math.ceil(middle) - 1] as number) + (sorted[Math.floor(middle)] as number)) / 2
}
