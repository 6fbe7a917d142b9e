/** What a server has after many requests is what it had after few (FAULTS 49). */

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { eventually } from '../harness/expectations.js'
import { type Figures, LongWorker } from '../harness/long-worker.js'

// What is compiled and cached by then is no growth. After that the heap moves by some 400 KB up and down, and no further in 60,000 requests.
const warmUp = 10_000
const batch = 400

/** By how much the median of the last quarter of a load is above that of the first. */
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

/** What may be added without being a leak: a heap needs some room to move in. */
const most: Figures = {
  residentBytes: 12 * 1024 * 1024,
  heapBytes: 1024 * 1024,
  keeperResidentBytes: 12 * 1024 * 1024,
  keeperHeapBytes: 1024 * 1024,
  descriptors: 2,
  listeners: 0
}

/** The figures that have grown by more than that. */
function leaksIn(grown: Figures): string[] {
  return Object.keys(most).filter((name) => grown[name as keyof Figures] > most[name as keyof Figures])
}

const requests = 20_000
test(`${requests} requests, a fifth late, a fifth left, every tenth with a command: nothing grows in worker and keeper`, async (t) => {
  const worker = await LongWorker.start('sound')
  t.after(() => worker.close())
  const descriptorsBefore = worker.keeperDescriptors()
  await worker.load(warmUp)
  assert.deepEqual(leaksIn(await growth(t, worker, requests)), [])
  await eventually(
    'the keeper has as many descriptors as before, but for those that the first launches open for good',
    () => worker.keeperDescriptors() <= descriptorsBefore + 4
  )
  const all = warmUp + requests
  assert.deepEqual(worker.ends, { late: all / 5, left: all / 5, finishes: (all / 5) * 3 })
})

test('a worker that leaks is found out by the same figures', async (t) => {
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
