/** A random sample of the matrix, which a seed reproduces. */

import type { Batch } from './cells.js'

// About twelve seconds of processor time.
const batchCount = 20
const handlersInBatch = 8

/** A seed for a new sample. */
export function newSeed(): number {
  return Math.floor(Math.random() * 2 ** 32)
}

/** Some batches, each with some of its handlers. */
export function sampleOf(batches: readonly Batch[], seed: number): Batch[] {
  const random = randomOf(seed)
  return pick(batches, batchCount, random).map((batch) => ({
    ...batch,
    handlers: pick(batch.handlers, handlersInBatch, random)
  }))
}

/** So many items of a list, in the order of the list. */
function pick<Item>(items: readonly Item[], count: number, random: () => number): Item[] {
  return items
    .map((item, index) => ({ item, index, by: random() }))
    .sort((one, other) => one.by - other.by)
    .slice(0, count)
    .sort((one, other) => one.index - other.index)
    .map(({ item }) => item)
}

/** Pseudo-random numbers from 0 to 1, the same for the same seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
