/**
 * Memory, descriptors and listeners of worker and keeper do not grow with the number of requests
 * (docs/faults.md, 49).
 */

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { eventually } from '../harness/expectations.js'
import { type Figures, LongWorker } from '../harness/long-worker.js'

// Code that is compiled and data that is cached during the warm-up are no growth. After that the heap varies
// by about 400 KB, also over 60,000 requests.
const warmUp = 10_000
const batch = 400

/** For each figure, the median of the last quarter of a load minus that of the first quarter. */
async function growth(t: TestContext, worker: LongWorker, requests: number): Promise<Figures> {
  const samples: Figures[] = []
  for (let sent = 0; sent < requests; sent += batch) {
    await worker.load(batch)
    samples.push(await worker.figures())
  }
  const quarter = Math.floor(samples.length / 4)
  const grown = Object.keys(samples[0] as Figures).map((name) => {
    const figures = samples.map((sample) => sample[name as keyof Figures])
    const [first, last] = [medianOf(figures.slice(0, quarter)), medianOf(figures.slice(-quarter))]
    t.diagnostic(`${name}: ${first} in the first quarter, ${last} in the last`)
    return [name, last - first]
  })
  return Object.fromEntries(grown)
}

function medianOf(figures: readonly number[]): number {
  return [...figures].sort((a, b) => a - b)[Math.floor(figures.length / 2)] as number
}

/** Growth that is no leak: the size of a heap varies. */
const most: Figures = {
  residentBytes: 12 * 1024 * 1024,
  heapBytes: 1024 * 1024,
  keeperResidentBytes: 12 * 1024 * 1024,
  keeperHeapBytes: 1024 * 1024,
  descriptors: 2,
  listeners: 0
}

/** The figures that have grown by more than `most`. */
function leaksIn(grown: Figures): string[] {
  return Object.keys(most).filter((name) => grown[name as keyof Figures] > most[name as keyof Figures])
}

const requests = 20_000
test(`${requests} requests, a fifth timed out, a fifth disconnected, a tenth with a command: nothing grows in worker and keeper`, async (t) => {
  const worker = await LongWorker.start('sound')
  t.after(() => worker.close())
  const descriptorsBefore = worker.keeperDescriptors()
  await worker.load(warmUp)
  assert.deepEqual(leaksIn(await growth(t, worker, requests)), [])
  await eventually(
    'the keeper has no more descriptors than before, except for those that the first launches open permanently',
    () => worker.keeperDescriptors() <= descriptorsBefore + 4
  )
  const all = warmUp + requests
  assert.deepEqual(worker.ends, { late: all / 5, left: all / 5, finishes: (all / 5) * 3 })
})

test('a worker that leaks is detected by the same figures', async (t) => {
  const worker = await LongWorker.start('leaky')
  t.after(() => worker.close())
  await worker.load(warmUp)
  assert.deepEqual(leaksIn(await growth(t, worker, 4_000)).sort(), [
    'descriptors',
    'heapBytes',
    'listeners',
    'residentBytes'
  ])
})
