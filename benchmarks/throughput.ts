/**
 * Throughput of standard input and output: a gigabyte through `cat`, by `child_process` and by the keeper, in
 * turns. It checks that every byte arrives in order, and that the memory of the worker stays flat.
 *
 * node build/benchmarks/throughput.js [MiB] [rounds]
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGuard } from 'fastify-subprocess-guard'

const mebibyte = 1024 * 1024
const sizeMiB = Number(process.argv[2] ?? 1024)
const rounds = Number(process.argv[3] ?? 5)
// What streams hold on their way, and what the collector has not looked at yet.
const mostGrowthBytes = 64 * mebibyte

// No two blocks are alike, so that a lost or doubled one shows.
const block = Buffer.alloc(mebibyte, 'subprocess')
const stdio = ['pipe', 'pipe', 'inherit'] as const

function* blocks(): Generator<Buffer> {
  for (let number = 0; number < sizeMiB; number++) {
    const numbered = Buffer.from(block)
    numbered.writeUInt32BE(number)
    yield numbered
  }
}

const expected = createHash('sha1')
for (const bytes of blocks()) expected.update(bytes)
const expectedDigest = expected.digest('hex')

interface Figures {
  readonly megabytesPerSecond: number
  readonly peakBytes: number
}

/** Passes everything through, and counts it. The content is checked in a round of its own, off the clock. */
async function pass(cat: ChildProcess, check: boolean): Promise<Figures> {
  const digest = createHash('sha1')
  let bytes = 0
  let peakBytes = 0
  const startedAt = performance.now()
  const read = async (): Promise<void> => {
    for await (const chunk of cat.stdout as Readable) {
      bytes += chunk.length
      if (check) digest.update(chunk)
      peakBytes = Math.max(peakBytes, process.memoryUsage.rss())
    }
  }
  const source = check ? Readable.from(blocks()) : Readable.from(sameBlocks())
  const closed = once(cat, 'close')
  await Promise.all([pipeline(source, cat.stdin as Writable), read()])
  const [code] = await closed
  if (code !== 0) throw new Error(`cat ended with ${code}`)
  const seconds = (performance.now() - startedAt) / 1_000
  if (bytes !== sizeMiB * mebibyte) throw new Error(`${bytes} bytes arrived of ${sizeMiB * mebibyte}`)
  if (check && digest.digest('hex') !== expectedDigest) throw new Error('the bytes that arrived are others')
  return { megabytesPerSecond: bytes / 1e6 / seconds, peakBytes }
}

function* sameBlocks(): Generator<Buffer> {
  for (let number = 0; number < sizeMiB; number++) yield block
}

const guard = await createGuard({ timeout: false })
const contestants: Record<string, () => ChildProcess> = {
  child_process: () => spawn('cat', { stdio: [...stdio] }),
  keeper: () => scope.spawn('cat', { stdio })
}
const scope = guard.open()
const figures = new Map<string, Figures[]>(Object.keys(contestants).map((name) => [name, []]))
for (const start of Object.values(contestants)) await pass(start(), true)
for (let round = 0; round < rounds; round++) {
  for (const [name, start] of Object.entries(contestants)) figures.get(name)?.push(await pass(start(), false))
}
await guard.close()

const medians = new Map<string, number>()
for (const [name, all] of figures) {
  const speeds = all.map(({ megabytesPerSecond }) => megabytesPerSecond).sort((a, b) => a - b)
  const median = speeds[Math.floor(speeds.length / 2)] as number
  const peak = Math.max(...all.map(({ peakBytes }) => peakBytes)) / mebibyte
  medians.set(name, median)
  const spread = `${speeds[0]?.toFixed(0)} to ${speeds.at(-1)?.toFixed(0)}`
  console.log(
    `${name.padEnd(14)} ${median.toFixed(0).padStart(6)} MB/s (${spread}), worker at most ${peak.toFixed(0)} MiB`
  )
}
const ratio = (medians.get('keeper') as number) / (medians.get('child_process') as number)
console.log(`${sizeMiB} MiB through cat, ${rounds} rounds: keeper / child_process = ${ratio.toFixed(2)}`)

const peaks = (name: string): number =>
  Math.max(...(figures.get(name) ?? []).map(({ peakBytes }) => peakBytes))
const growth = peaks('keeper') - peaks('child_process')
if (growth > mostGrowthBytes) {
  console.error(`the worker needs ${Math.round(growth / mebibyte)} MiB more by the keeper`)
  process.exitCode = 1
}
