/** A scope whose processes exceed a limit is closed, whoever of them takes too much: its request is answered. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { suite, test } from 'node:test'
import type { Limits, Scope, SubprocessError } from 'fastify-subprocess-guard'
import type * as RecordModule from '../lib/containment/scope-record.js'
import type * as LookModule from '../lib/keeper/scope-look.js'
import type * as PlatformModule from '../lib/platform/current.js'
import type { ProcessStat } from '../lib/platform/platform.js'
import { ask } from './harness/client.js'
import { compiled } from './harness/compiled.js'
import { testExceedingRequests } from './harness/exceeding-requests.js'
import { assertGone, eventually } from './harness/expectations.js'
import { Guarded } from './harness/guarded.js'
import { levelWithoutKoffi } from './harness/level.js'
import { lives } from './harness/proc.js'
import { serve } from './harness/server.js'
import { shareKeeper } from './harness/shared-keeper.js'
import { installWithoutKoffi } from './harness/without-koffi.js'

const { exceededLimit, proportionalMemoryOf }: typeof LookModule = await compiled('keeper/scope-look')
const { ScopeRecord }: typeof RecordModule = await compiled('containment/scope-record')
const { platform }: typeof PlatformModule = await compiled('platform/current')

shareKeeper()

// What Node reads at once.
const readBytes = 65_536

const withoutKoffi = await installWithoutKoffi()
process.once('exit', withoutKoffi.remove)

testExceedingRequests({ name: 'by keeper', guard: {} })
testExceedingRequests({ name: 'by direct launch', guard: { launch: 'direct' } })
testExceedingRequests({
  name: `containment "${levelWithoutKoffi}" without koffi`,
  guard: {},
  setup: { plugin: withoutKoffi.plugin }
})

suite('a limit', () => {
  test('touches nothing but the scope that exceeds it', async (t) => {
    const guarded = await Guarded.start({ timeout: false, limits: { processes: 5 } })
    t.after(() => guarded.close())
    const neighbour = guarded.guard.open()
    guarded.run(neighbour, 'waits.sh')
    await guarded.witness.present(1)
    const scope = guarded.guard.open()
    guarded.run(scope, 'wide.sh', ['10'])
    const { reason, exceeded } = await scope.closed
    assert.equal(reason, 'limit')
    assert.equal(exceeded?.limit, 'processes')
    assert.equal(neighbour.reason, undefined)
    assert.equal((await neighbour.list()).length, 1)
    await neighbour.close()
    await assertGone(guarded)
  })

  test('rejects the job, the signal and later calls with the same error', async (t) => {
    const guarded = await Guarded.start({ timeout: false })
    t.after(() => guarded.close())
    let scope: Scope | undefined
    const job = guarded.guard.run({ limits: { processes: 3 } }, async (opened) => {
      scope = opened
      guarded.run(opened, 'wide.sh', ['10'])
      await new Promise(() => {})
    })
    const error = (await job.then(
      () => undefined,
      (thrown: unknown) => thrown
    )) as SubprocessError
    assert.equal(error.code, 'ERR_SUBPROCESS_LIMIT')
    assert.equal(error.statusCode, 503)
    assert.equal(error.reason, 'limit')
    assert.equal(error.exceeded?.value, 3)
    assert.match(error.exceeded?.command ?? '', /wide\.sh|sh/)
    const { exceeded } = scope?.signal.reason ?? {}
    assert.deepEqual(exceeded, error.exceeded)
    assert.throws(() => scope?.spawn('true'), { code: 'ERR_SUBPROCESS_LIMIT' })
    await assertGone(guarded)
  })

  test('of a route overrides that of the server key by key, and false lifts it', async (t) => {
    const served = await serve(
      { guard: { timeout: false, limits: { processes: 3, cpu: 1e9 } } },
      (_, served) => {
        const declare = (path: string, limits: Limits): void =>
          served.get(
            path,
            async (request) => {
              const child = served.run(request, 'wide.sh', ['6'])
              await once(child, 'close')
            },
            { limits }
          )
        declare('/same', {})
        declare('/other', { cpu: 5e8 })
        declare('/more', { processes: 50 })
        declare('/lifted', { processes: false })
      }
    )
    t.after(() => served.close())
    for (const path of ['/same', '/other']) {
      const { body } = await ask(served.port, path).answer
      assert.match(body, /processes 3 \(/, path)
      // The answer does not wait for the end of the scope.
      await eventually('the scope is closed', () => served.guard.scopes().length === 0)
    }
    for (const path of ['/more', '/lifted']) {
      const before = served.witness.announced.length
      const asked = ask(served.port, path)
      await served.witness.present(before + 7)
      const [scope] = served.guard.scopes()
      // The first look comes long before this list.
      await scope?.list()
      assert.equal(scope?.reason, undefined, path)
      asked.leave()
      await scope?.closed
    }
    await assertGone(served)
  })

  test('counts the processor time of commands that have ended', async (t) => {
    const guarded = await Guarded.start({ timeout: false, limits: { cpu: 300 } })
    t.after(() => guarded.close())
    const scope = guarded.guard.open()
    const loop = 'while :; do head -c 4000000 /dev/zero | cksum >/dev/null; done'
    scope.spawn('sh', ['-c', loop], { stdio: 'ignore' })
    const { exceeded, usage } = await scope.closed
    assert.equal(exceeded?.limit, 'cpu')
    assert.ok((usage.cpuMs ?? 0) >= 300, `${usage.cpuMs}`)
  })

  for (const launch of ['keeper', 'direct'] as const) {
    test(`is known before the end of the output, even if Node reads that end first (${launch})`, async (t) => {
      const guarded = await Guarded.start({ timeout: false, launch, limits: { processes: 5 } })
      t.after(() => guarded.close())
      const scope = guarded.guard.open()
      const ready = join(scope.tempDir(), 'ready')
      const write = `read go; head -c ${readBytes} /dev/zero; : >${ready}`
      const exceed = 'read go; for i in 1 2 3 4 5 6 7 8; do sleep 1000 >/dev/null & done; wait'
      const child = scope.spawn('sh', ['-c', `${write}; ${exceed}`], { stdio: ['pipe', 'pipe', 'ignore'] })
      if (child.pid === undefined) await once(child, 'spawn')
      const seen: unknown[] = []
      for (const event of ['end', 'close']) child.stdout.once(event, () => seen.push(scope.reason))
      let bytes = 0
      child.stdout.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        // When its buffer was full, Node reads on after this: up to the end, if the command is dead by then.
        if (bytes < readBytes) return
        child.stdin.write('go\n')
        while (lives(child.pid));
      })
      child.stdin.write('go\n')
      while (!existsSync(ready));
      await scope.closed
      await eventually('the output is closed', () => child.stdout.closed)
      assert.deepEqual(new Set(seen), new Set(['limit']))
    })
  }

  for (const launch of ['keeper', 'direct'] as const) {
    test(`does not keep a command open whose output a grandchild holds open (${launch})`, async (t) => {
      const guarded = await Guarded.start({ timeout: false, launch, limits: { processes: 5 } })
      t.after(() => guarded.close())
      const scope = guarded.guard.open()
      const child = scope.spawn('sh', ['-c', 'sleep 1000 & echo done'], {
        stdio: ['ignore', 'pipe', 'ignore']
      })
      const closed = once(child, 'close')
      assert.equal(await text(child.stdout), 'done\n')
      await closed
      assert.equal(scope.reason, undefined)
      assert.equal((await scope.list()).length, 1)
    })
  }

  test('is known before the end of a direct command, even if Node notices that end first', async (t) => {
    const guarded = await Guarded.start({ timeout: false, launch: 'direct', limits: { processes: 5 } })
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const writer = connect((server.address() as AddressInfo).port, '127.0.0.1')
    const [[reader]] = await Promise.all([once(server, 'connection'), once(writer, 'connect')])
    t.after(async () => {
      for (const one of [reader, writer]) one.destroy()
      server.close()
      await guarded.close()
    })
    const scope = guarded.guard.open()
    const line = 'read go; for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; wait'
    const child = scope.spawn('sh', ['-c', line], { stdio: ['pipe', 'pipe', 'ignore'] })
    const seen: unknown[] = []
    child.once('exit', () => seen.push(scope.reason))
    child.stdout.once('end', () => seen.push(scope.reason)).resume()
    // The keeper has adopted the command when it answers.
    await guarded.guard.usage()

    // When Node learns that a child has ended, it first handles all other events of that turn, and then collects every
    // child that has ended by then. Here the other event is data on this socket, which blocks until the command is dead.
    reader.once('data', () => {
      child.stdin.write('go\n')
      while (lives(child.pid));
    })
    const other = spawn('true')
    writer.write('x')
    while (lives(other.pid));
    const closed = once(child, 'close')
    await once(other, 'exit')
    assert.equal((await scope.closed).reason, 'limit')
    await closed
    assert.ok(seen.length > 0)
    assert.deepEqual(new Set(seen), new Set(['limit']))
  })

  test('is enforced while the event loop of the worker is blocked', async (t) => {
    const guarded = await Guarded.start({ timeout: false, limits: { processes: 5 } })
    t.after(() => guarded.close())
    const scope = guarded.guard.open()
    guarded.run(scope, 'wide.sh', ['10'])
    await guarded.witness.present(1)
    const until = performance.now() + 2_000
    while (performance.now() < until);
    assert.deepEqual(guarded.witness.living(), [])
    assert.equal((await scope.closed).reason, 'limit')
  })

  test('counts shared memory once', async (t) => {
    const guarded = await Guarded.start({ timeout: false })
    t.after(() => guarded.close())
    // Forks of a shell share its memory: each has all of it, and next to nothing of its own.
    const scope = guarded.guard.open({ limits: { memory: 40_000_000 } })
    const line =
      'exec 3<&0; x=$(head -c 10000000 /dev/zero | tr "\\0" x); for i in 1 2 3 4 5; do (echo fork; read y <&3) & done; echo ready; wait'
    const child = scope.spawn('sh', ['-c', line], { stdio: ['pipe', 'pipe', 'inherit'] })
    let said = ''
    child.stdout.on('data', (text) => {
      said += text
    })
    await eventually('all forks are there', () => said.split('\n').length > 6)
    const processes = await scope.list()
    const sum = processes.reduce((bytes, { memoryBytes }) => bytes + memoryBytes, 0)
    assert.ok(sum > 40_000_000, `the test proves nothing: ${sum} bytes`)
    const members = processes.map(({ pid }) => ({
      stat: platform.statOf(pid) as ProcessStat,
      isOwnChild: false
    }))
    assert.ok(proportionalMemoryOf(members) < 40_000_000)
    assert.equal(scope.reason, undefined)
    await scope.close()
  })

  test('that is exceeded by less than a millisecond is reported with more than its value', () => {
    const options = { graceMs: 0, killSignal: 'SIGTERM', limits: { cpu: 1_500 } } as const
    const scope = new ScopeRecord(1, 'a mark', options, undefined)
    const exceeded = exceededLimit(scope, { members: [], memoryBytes: 0, cpuMs: 1_500.2 })
    assert.equal(exceeded?.value, 1_500)
    assert.equal(exceeded?.used, 1_501)
  })
})
