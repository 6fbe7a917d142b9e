/** What subprocesses have used is known: of each command, of each scope, while they run and afterwards. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { suite, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { createGuard, GuardOptions, Subprocess } from 'fastify-subprocess-guard'
import type * as EmulatedModule from '../lib/platform/linux/is-emulated.js'
import { compiled } from './harness/compiled.js'
import { assertGone } from './harness/expectations.js'
import { Guarded } from './harness/guarded.js'
import { bestLevel, levelWithoutKoffi } from './harness/level.js'
import { end, lives } from './harness/proc.js'
import { installWithoutKoffi } from './harness/without-koffi.js'

const { isEmulated }: typeof EmulatedModule = await compiled('platform/linux/is-emulated')

const emulated = isEmulated() && 'what a process uses includes the emulator, of which it knows nothing'
const program = fileURLToPath(new URL('../../test/programs/uses-resources.mjs', import.meta.url))
const gnuTime = '/usr/bin/time'
/** Enough for its end, which it does not know itself, to be less than 5 % of it. */
const cpuMs = '1000'
/** More than the memory of a keeper. */
const megabytes = '150'

/** What a program says of itself, with the fields of `process.resourceUsage()`. */
interface Truth {
  readonly userCPUTime: number
  readonly systemCPUTime: number
  readonly maxRSS: number
}

const withoutKoffi = await installWithoutKoffi()
process.once('exit', withoutKoffi.remove)

interface Way {
  readonly name: string
  readonly options: GuardOptions
  readonly create?: typeof createGuard
  /** Whether the memory of a command is known that has ended. */
  readonly tellsMemory: boolean
}

const byKeeper: Way = { name: 'by keeper', options: {}, tellsMemory: true }
const atMarks: Way = {
  name: 'without koffi',
  options: {},
  create: withoutKoffi.createGuard,
  tellsMemory: false
}

async function start(t: TestContext, { options, create }: Pick<Way, 'options' | 'create'>): Promise<Guarded> {
  const guarded = await Guarded.start({ timeout: false, ...options }, create)
  t.after(() => guarded.close())
  return guarded
}

/** What the processes of the program have said of themselves, once there are so many lines. */
async function truthOf(output: Readable, lines: number): Promise<Truth> {
  const said: Truth[] = []
  for await (const line of createInterface({ input: output })) {
    said.push(JSON.parse(line))
    if (said.length === lines) break
  }
  return said.reduce((one, other) => ({
    userCPUTime: one.userCPUTime + other.userCPUTime,
    systemCPUTime: one.systemCPUTime + other.systemCPUTime,
    maxRSS: Math.max(one.maxRSS, other.maxRSS)
  }))
}

/** Runs the program until it has said what it used, and lets it end. */
async function runToItsEnd(child: Subprocess, lines: number): Promise<Truth> {
  const truth = await truthOf(child.stdout as Readable, lines)
  const exited = new Promise((resolve) => child.once('exit', resolve))
  child.stdin?.end()
  await exited
  return truth
}

/** `tolerance` is added to the 5 % where the system tells times only in steps. */
function assertSame(what: string, value: number | undefined, truth: number, tolerance = 0): void {
  const difference = Math.abs((value ?? 0) - truth)
  assert.ok(difference <= 0.05 * truth + tolerance, `${what}: ${value}, and in truth ${truth}`)
}

for (const { name, options, create, tellsMemory } of [byKeeper, atMarks]) {
  // Without koffi, what ends at the same moment cannot be told apart.
  suite(`${name}, what a command has used`, { concurrency: tellsMemory, skip: emulated }, () => {
    for (const withChild of [false, true]) {
      test(`is right within 5 %${withChild ? ', with the child that it has waited for' : ''}`, async (t) => {
        const guarded = await start(t, { options, create: create as never })
        const scope = guarded.guard.open()
        const child = scope.spawn(process.execPath, [
          program,
          megabytes,
          cpuMs,
          ...(withChild ? ['yes'] : [])
        ])
        const truth = await runToItsEnd(child, withChild ? 2 : 1)
        const usage = child.resourceUsage()
        const { usage: ofScope } = await scope.close()
        const trueCpu = truth.userCPUTime + truth.systemCPUTime
        // Where Node waits for the command, the time is told in hundredths of a second.
        const stepUs = tellsMemory ? 0 : 20_000
        assertSame('µs', (usage?.userCPUTime ?? 0) + (usage?.systemCPUTime ?? 0), trueCpu, stepUs)
        assertSame('ms of the scope', ofScope.cpuMs, trueCpu / 1_000, stepUs / 1_000)
        assert.ok((usage?.wallTime ?? 0) >= trueCpu / 2)
        assert.ok((ofScope.peakProcesses ?? 0) >= 1)
        if (!tellsMemory) return
        assertSame('kB', usage?.maxRSS, truth.maxRSS)
        assertSame('bytes of the scope', ofScope.peakMemoryBytes, truth.maxRSS * 1_024)
      })
    }
  })
}

suite('what a command has used', { concurrency: true }, () => {
  const noTime = !existsSync(gnuTime) && `${gnuTime} is not installed`
  test('is what GNU time says of it', { skip: noTime }, async (t) => {
    const guarded = await start(t, byKeeper)
    const args = ['-v', process.execPath, program, megabytes, cpuMs, 'yes']
    const running = guarded.guard.open().execFile(gnuTime, args)
    const { child } = running
    const { stderr } = await running
    const told = (label: string): number =>
      Number(new RegExp(`${label}[^:]*: ([\\d.]+)$`, 'm').exec(stderr)?.[1])
    const usage = child.resourceUsage()
    const seconds = told('User time') + told('System time')
    assertSame('µs', (usage?.userCPUTime ?? 0) + (usage?.systemCPUTime ?? 0), seconds * 1e6)
    assertSame('kB', usage?.maxRSS, told('Maximum resident set size'))
  })

  test('is unknown before it starts, and read from the process while it runs', async (t) => {
    const guarded = await start(t, byKeeper)
    const child = guarded.guard.open().spawn(process.execPath, [program, megabytes, cpuMs])
    assert.equal(child.resourceUsage(), undefined)
    const truth = await truthOf(child.stdout as Readable, 1)
    const usage = child.resourceUsage()
    assertSame('µs', usage?.userCPUTime, truth.userCPUTime, 20_000)
    assert.ok((usage?.maxRSS ?? 0) >= 150_000)
  })

  test('has the fields of process.resourceUsage()', async (t) => {
    const guarded = await start(t, byKeeper)
    const { child } = guarded.guard.open().execFile('true')
    await new Promise((resolve) => child.once('exit', resolve))
    const { wallTime, ...usage } = child.resourceUsage() ?? { wallTime: 0 }
    assert.deepEqual(Object.keys(usage).sort(), Object.keys(process.resourceUsage()).sort())
    assert.ok(wallTime > 0)
    // That of the keeper would be more than 20 MB.
    assert.ok((child.resourceUsage()?.maxRSS ?? 0) < 10_000)
  })

  for (const launch of ['keeper', 'direct'] as const) {
    test(`stays what it was between the end of its process and 'exit' (${launch})`, async (t) => {
      const guarded = await start(t, { options: { launch } })
      const child = guarded.run(guarded.guard.open(), 'waits.sh')
      if (child.pid === undefined) await once(child, 'spawn')
      await guarded.witness.present(1)
      const usage = child.resourceUsage()
      assert.ok((usage?.maxRSS ?? 0) > 0)
      end(child.pid as number)
      while (lives(child.pid));
      assert.deepEqual(child.resourceUsage(), usage)
      await once(child, 'exit')
    })
  }

  test('of a direct launch is known as far as it was looked at', async (t) => {
    const guarded = await start(t, { options: { launch: 'direct' } })
    const scope = guarded.guard.open()
    const child = scope.spawn(process.execPath, [program, megabytes, cpuMs])
    const truth = await truthOf(child.stdout as Readable, 1)
    const usage = child.resourceUsage()
    assertSame('µs', usage?.userCPUTime, truth.userCPUTime, 20_000)
    // It is alive, and is looked at a last time.
    const { usage: ofScope } = await scope.close()
    assertSame('ms of the scope', ofScope.cpuMs, (truth.userCPUTime + truth.systemCPUTime) / 1_000, 20)
    assert.ok((ofScope.peakMemoryBytes ?? 0) >= 150e6)
    assert.deepEqual(child.resourceUsage(), usage)
  })
})

suite('what a scope has used', { concurrency: true }, () => {
  test('includes a daemon, which nobody but the keeper waits for', { skip: emulated }, async (t) => {
    const guarded = await start(t, byKeeper)
    const scope = guarded.guard.open()
    const line = `(setsid "$0" "${program}" 10 ${cpuMs} </dev/null &) && exec cat`
    const child = scope.spawn('sh', ['-c', line, process.execPath], { stdio: ['pipe', 'pipe', 'inherit'] })
    const truth = await runToItsEnd(child, 1)
    let isGone = false
    while (!isGone) isGone = (await scope.list()).length === 0
    const { usage } = await scope.close()
    assertSame('ms', usage.cpuMs, (truth.userCPUTime + truth.systemCPUTime) / 1_000)
  })

  test('includes what was alive at its end, and is in the log line', async (t) => {
    const guarded = await start(t, byKeeper)
    const scope = guarded.guard.open()
    guarded.run(scope, 'wide.sh', ['20'])
    await guarded.witness.present(21)
    const { usage, processes } = await scope.close()
    assert.equal(usage.peakProcesses, processes.length)
    assert.ok(processes.length >= 21)
    const [line] = guarded.lines('scope closed')
    assert.deepEqual(line?.fields.usage, usage)
    await assertGone(guarded)
  })

  test('does not include a released command', async (t) => {
    const guarded = await start(t, byKeeper)
    const scope = guarded.guard.open()
    const child = scope.spawn(process.execPath, [program, '10', '200'])
    await truthOf(child.stdout as Readable, 1)
    scope.release(child)
    await scope.list()
    const exited = new Promise((resolve) => child.once('exit', resolve))
    child.stdin?.end()
    await exited
    const { usage } = await scope.close()
    // A cgroup has counted what the command had used before.
    if (bestLevel !== 'cgroup') assert.equal(usage.cpuMs, undefined)
  })

  test('is absent if it has started nothing', async (t) => {
    const guarded = await start(t, byKeeper)
    const { usage } = await guarded.guard.open().close()
    assert.deepEqual(usage, {})
  })

  test('is told for each living process by list()', async (t) => {
    const guarded = await start(t, atMarks)
    assert.equal(guarded.guard.containment, levelWithoutKoffi)
    const scope = guarded.guard.open()
    const child = scope.spawn(process.execPath, [program, megabytes, '200'])
    await truthOf(child.stdout as Readable, 1)
    const [listed] = await scope.list()
    assert.ok((listed?.peakMemoryBytes ?? 0) >= (listed?.memoryBytes ?? Number.POSITIVE_INFINITY))
    assert.ok((listed?.peakMemoryBytes ?? 0) >= 150e6)
    assert.ok((listed?.cpuMs ?? 0) >= 190)
    assert.ok(listed?.readBytes !== undefined && listed.writtenBytes !== undefined)
  })
})
