/** What a health check asks a guard: how many commands run and wait, and what its processes use. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { suite, type TestContext, test } from 'node:test'
import type { GuardOptions, Limits } from 'fastify-subprocess-guard'
import { assertGone, eventually } from './harness/expectations.js'
import { Guarded } from './harness/guarded.js'
import { shareKeeper } from './harness/shared-keeper.js'
import { Turns } from './harness/turns.js'

shareKeeper()

interface Setting {
  readonly guarded: Guarded
  readonly turns: Turns
}

async function start(t: TestContext, limits?: Limits): Promise<Setting> {
  const options: GuardOptions = limits === undefined ? {} : { limits }
  const guarded = await Guarded.start({ timeout: false, ...options })
  t.after(() => guarded.close())
  return { guarded, turns: new Turns(guarded.witness) }
}

suite('guard.load', { concurrency: true }, () => {
  test('is zero before the first command', async (t) => {
    for (const limits of [undefined, { concurrency: 1 }]) {
      const { guarded } = await start(t, limits)
      assert.deepEqual(guarded.guard.load, { running: 0, waiting: 0 })
    }
  })

  test('counts the places that are taken, and the commands that wait for one', async (t) => {
    const { guarded, turns } = await start(t, { concurrency: 2 })
    const { guard } = guarded
    const scopes = [guard.open(), guard.open()] as const
    for (const name of ['a', 'b']) turns.spawn(scopes[0], name)
    for (const name of ['c', 'd']) turns.spawn(scopes[1], name)
    // At once, before any of them has started.
    assert.deepEqual(guard.load, { running: 2, waiting: 2 })
    await turns.untilStarted(2)
    await scopes[0].close()
    assert.deepEqual(guard.load, { running: 2, waiting: 0 })
    await turns.untilStarted(4)
    await scopes[1].close()
    assert.deepEqual(guard.load, { running: 0, waiting: 0 })
    await assertGone(guarded)
  })

  test('counts the commands of all scopes if nothing is limited, without what they start', async (t) => {
    const { guarded, turns } = await start(t)
    const { guard } = guarded
    const scopes = [guard.open(), guard.open(), guard.open()] as const
    guarded.run(scopes[0], 'wide.sh', ['3'])
    turns.spawn(scopes[1], 'a')
    turns.spawn(scopes[1], 'b')
    assert.deepEqual(guard.load, { running: 3, waiting: 0 })
    await guarded.witness.present(6)
    assert.deepEqual(guard.load, { running: 3, waiting: 0 })
    await turns.end('a')
    await eventually('one command less runs', () => guard.load.running === 2)
    await scopes[0].close()
    assert.deepEqual(guard.load, { running: 1, waiting: 0 })
  })

  test('counts commands with and without limits if only some jobs have them', async (t) => {
    const { guarded, turns } = await start(t)
    const { guard } = guarded
    turns.spawn(guard.open(), 'free')
    const limited = guard.open({ limits: { concurrency: 1 } })
    turns.spawn(limited, 'runs')
    turns.spawn(limited, 'waits')
    assert.deepEqual(guard.load, { running: 2, waiting: 1 })
    await turns.untilStarted(2)
    await turns.end('runs')
    await turns.untilStarted(3)
    assert.deepEqual(guard.load, { running: 2, waiting: 0 })
  })

  test('does not count a released command', async (t) => {
    for (const limits of [undefined, { concurrency: 1 }]) {
      const { guarded, turns } = await start(t, limits)
      const scope = guarded.guard.open()
      const child = turns.spawn(scope, 'released')
      await once(child, 'spawn')
      scope.release(child)
      assert.deepEqual(guarded.guard.load, { running: 0, waiting: 0 })
      await turns.untilStarted(1)
      await turns.end('released')
    }
  })
})

suite('guard.usage()', { concurrency: true }, () => {
  test('is zero if no process is alive, and after the guard has closed', async (t) => {
    const { guarded } = await start(t)
    const zero = { processes: 0, memoryBytes: 0, cpuMs: 0 }
    assert.deepEqual(await guarded.guard.usage(), zero)
    guarded.guard.open()
    assert.deepEqual(await guarded.guard.usage(), zero)
    await guarded.guard.close()
    assert.deepEqual(await guarded.guard.usage(), zero)
  })

  test('is the sum of what list() tells of each scope', async (t) => {
    const { guarded } = await start(t)
    const { guard } = guarded
    const scopes = [guard.open(), guard.open()] as const
    guarded.run(scopes[0], 'wide.sh', ['3'])
    guarded.run(scopes[1], 'waits.sh')
    await guarded.witness.present(5)
    // Until then, a process may still become the program that it runs.
    const lists = async () => (await Promise.all(scopes.map((scope) => scope.list()))).flat()
    for (;;) {
      const [before, usage, after] = [await lists(), await guard.usage(), await lists()]
      if (sumOf(before).memoryBytes !== sumOf(after).memoryBytes) continue
      assert.deepEqual(usage, sumOf(after))
      assert.equal(usage.processes, 5)
      assert.ok(usage.memoryBytes > 0)
      break
    }
    await scopes[0].close()
    assert.equal((await guard.usage()).processes, 1)
  })

  test('rejects if one of the scopes cannot be listed', async (t) => {
    const { guarded } = await start(t)
    const { guard } = guarded
    const scope = guard.open()
    guard.open()
    const error = Object.assign(new Error('no descriptor'), { code: 'EMFILE' })
    t.mock.method(scope, 'list', () => Promise.reject(error))
    await assert.rejects(guard.usage(), error)
  })
})

interface Used {
  readonly memoryBytes: number
  readonly cpuMs: number
}

function sumOf(processes: readonly Used[]): Used & { readonly processes: number } {
  return {
    processes: processes.length,
    memoryBytes: processes.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0),
    cpuMs: processes.reduce((sum, { cpuMs }) => sum + cpuMs, 0)
  }
}
