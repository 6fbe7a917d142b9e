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
// On a machine that has other work even bare signals take longer than that: then so many times what they take.
const timesBare = 2
const bareRounds = 3

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
  const addRounds = async (rounds: number): Promise<number> => {
    while (figures.length < rounds) figures.push(Math.round(await killWithThousand()))
    return medianOf(figures)
  }
  let median = await addRounds(enough)
  if (median > deadMs) median = await addRounds(allRounds)
  t.diagnostic(`until none was alive, in ms: ${figures.join(', ')}; median ${median}`)
  if (median <= deadMs) return
  const bare: number[] = []
  for (let round = 0; round < bareRounds; round++) bare.push(Math.round(await signalThousand()))
  t.diagnostic(`bare signals to as many, in ms: ${bare.join(', ')}`)
  assert.ok(median <= timesBare * Math.min(...bare), `the median is ${median} ms`)
}

/** How long after SIGKILL the last of a thousand was dead, in ms. */
async function killWithThousand(): Promise<number> {
  const worker = await startThousand()
  try {
    await worker.witness.present(allOfThem)
    const killedAt = performance.now()
    worker.kill('SIGKILL')
    await assertGone(worker)
    const ms = performance.now() - killedAt
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
    return performance.now() - sentAt
  } finally {
    worker.close()
  }
}

function medianOf(figures: readonly number[]): number {
  const sorted = [...figures].sort((a, b) => a - b)
  const middle = sorted.length / 2
  return ((sorted[Math.ceil(middle) - 1] as number) + (sorted[Math.floor(middle)] as number)) / 2
}
