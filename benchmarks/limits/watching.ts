/** The processor time of a keeper that watches a thousand scopes, beside one that watches none. */

import { readFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import type { Limits } from 'fastify-subprocess-guard'
import { Actor } from '../harness/actor.js'
import { type Benchmark, ensure } from '../harness/benchmark.js'
import { figure } from '../harness/table.js'

// The looks are frequent after a start, and become rarer.
const settledMs = 3_000
// Of /proc/<pid>/stat, on every Linux.
const msPerTick = 10

const limits: Limits = { memory: 512e6, cpu: 60_000, processes: 64 }
const contestants = { guard: { limits }, 'guard, no limits': {} } as const

interface Watching {
  readonly name: keyof typeof contestants
  readonly host: Actor
  readonly keeper: number
}

export async function measureWatching(benchmark: Benchmark): Promise<void> {
  const { short } = benchmark.settings
  const [rounds, ms, scopes] = short ? [1, 3_000, 100] : [3, 10_000, 1_000]
  const cases = 'scopes with a sleeping process'
  const shares = benchmark.figures('processor time of the keeper', '% of a core', { cases })
  const calls = benchmark.figures('files that the keeper reads', 'files/s', { cases })
  const of = scopes.toLocaleString('en')
  const all: Watching[] = []
  try {
    for (const [name, options] of Object.entries(contestants)) {
      const host = await Actor.start('keeper-host')
      all.push({ name: name as Watching['name'], host, keeper: await startKeeper(host, scopes, options) })
    }
    await wait(settledMs)
    for (let round = 0; round < rounds; round++) {
      // Both at the same time: a sleeping machine disturbs neither.
      await Promise.all(
        all.map(async ({ name, keeper }) => {
          const before = spentBy(keeper)
          await wait(ms)
          const after = spentBy(keeper)
          const wallMs = after.atMs - before.atMs
          shares.add(name, of, ((after.processorMs - before.processorMs) / wallMs) * 100)
          calls.add(name, of, ((after.reads - before.reads) / wallMs) * 1_000)
        })
      )
    }
    for (const { name, host } of all) {
      const running = await host.ask<number>('running')
      ensure(running === scopes, `${name}: ${running} of ${scopes} processes are still running`)
    }
  } finally {
    await Promise.all(all.map(({ host }) => endHost(host)))
  }
  const [watched, bare] = [shares.summary('guard', of).median, shares.summary('guard, no limits', of).median]
  benchmark.aim(`watching ${of} scopes`, watched, '% of a core', { atMost: 3 })
  benchmark.note(`watching, of that without limits: ${figure(bare)} % of a core`)
  const reads = calls.summary('guard', of).median - calls.summary('guard, no limits', of).median
  ensure(reads > 0, 'the keeper with limits reads no more than the one without')
  benchmark.note(
    `watching: a look reads at least one file, so the looks at a scope are ${figure(scopes / reads)} s apart on average, or more`
  )
}

async function startKeeper(host: Actor, scopes: number, options: { limits?: Limits }): Promise<number> {
  await host.ask('guard', options)
  const running = await host.ask<number>('run', scopes)
  ensure(running === scopes, `${running} processes run, of ${scopes}`)
  return host.ask<number>('keeper')
}

async function endHost(host: Actor): Promise<void> {
  await host.ask('close')
  await host.end()
}

/** Since the start of the process. */
function spentBy(pid: number): { atMs: number; processorMs: number; reads: number } {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const ticks = Number(fields[11]) + Number(fields[12])
  const [, reads] = /^syscr: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8')) ?? []
  return { atMs: performance.now(), processorMs: ticks * msPerTick, reads: Number(reads) }
}
