/** What a server has after many requests is what it had after few (FAULTS 49). */

import { type TestContext, test } from 'node:test'
import { type Figures, LongWorker } from './harness/long-worker.js'

// What is compiled and cached by then is no growth.
const warmUp = 3_000
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

test('x', async (t) => {
  const worker = await LongWorker.start('sound')
  t.after(() => worker.close())
  await worker.load(warmUp)
  const at = performance.now()
  await growth(t, worker, 20_000)
  t.diagnostic(`${performance.now() - at} ms; ${JSON.stringify(worker.ends)}`)
})
test('y', async (t) => {
  const worker = await LongWorker.start('leaky')
  t.after(() => worker.close())
  await worker.load(warmUp)
  const at = performance.now()
  await growth(t, worker, 4_000)
  t.diagnostic(`${performance.now() - at} ms; ${JSON.stringify(worker.ends)}`)
})
