/** A worker with a thousand subprocesses, and the time until they have ended. */

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { assertGone } from './expectations.js'
import { Worker, type WorkerSetup } from './worker.js'

// For every twentieth process there is a daemon with an empty environment.
const requests: [string, number][] = [['daemon-empty-environment.sh', 50]]
for (let i = 0; i < 19; i++) requests.push(['waits.sh', 50])

/** The number of processes in total. */
export const allOfThem = 1_050

// The promised median of this many rounds.
const deadMs = 250
const allRounds = 10
// On a slower or busy machine, bare signals alone take most of that time. Then the bound is this multiple of
// what bare signals take. A quiet machine has a ratio of 1.5 to 1.9.
const timesBare = 2.5
const fewRounds = 5

/** Starts a worker that has begun to start all of them. */
export async function startThousand(setup: WorkerSetup = {}): Promise<Worker> {
  const worker = await Worker.start(setup)
  for (const [program, times] of requests) worker.run(program, times)
  return worker
}

/**
 * Asserts that they are dead 250 ms after their worker was killed, in the median of ten workers. If the
 * median of the first `enough` workers is within the bound, these suffice.
 */
export async function assertSoonDead(t: TestContext, enough: number): Promise<void> {
  const figures: number[] = []
  while (figures.length < enough) figures.push(await killWithThousand())
  if (medianOf(figures) > deadMs) await addRounds()
  t.diagnostic(`until none was alive, in ms: ${figures.join(', ')}; median ${medianOf(figures)}`)

  /** Alternates with bare signals, so that other load affects both in the same way. */
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

/** The time from SIGKILL of the worker until the last of a thousand is dead, in ms. */
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

/** The time that one SIGTERM to each of the thousand takes, from a program that does nothing else, in ms. */
async function signalThousand(): Promise<number> {
  const worker = await startThousand({ guard: false })
  try {
    const announced = await worker.witness.present(allOfThem)
    const sentAt = performance.now()
    // None of these pids is reused: the worker lives, so none of its children has been reaped.
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
