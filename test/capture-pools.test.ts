/**
 * What capture leaves out: what runs `outside()`, commands that `capture.except` names, and workers of pools
 * that requests share (fault 57 in docs/faults.md).
 */

import assert from 'node:assert/strict'
import { exec, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { suite, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { CaptureOptions } from 'fastify-subprocess-guard'
import workerpool, { type Pool } from 'workerpool'
import { ask } from './harness/client.js'
import { assertClean, assertGone, assertLeft, eventually } from './harness/expectations.js'
import { commandOf, Guarded } from './harness/guarded.js'
import { type Kind, kinds } from './harness/kinds.js'
import type { GuardedRequest, Served } from './harness/served.js'
import { shareKeeper } from './harness/shared-keeper.js'

shareKeeper()

const never = (): Promise<never> => new Promise(() => {})
const isTypeError = { name: 'SubprocessOptionError', code: 'ERR_SUBPROCESS_OPTION' }
const frameworks = kinds.filter(({ launch }) => launch === 'keeper')
const [fastify] = kinds as [Kind]
const poolWorker = fileURLToPath(new URL('../../test/programs/pool-worker.mjs', import.meta.url))

async function serveHang(
  t: TestContext,
  { serve }: Pick<Kind, 'serve'>,
  act: (served: Served, request: GuardedRequest) => unknown,
  capture: boolean | CaptureOptions = true
): Promise<Served> {
  const served = await serve({ guard: { capture } }, (served) => {
    served.get('/hang', async (request) => {
      await act(served, request)
      await never()
    })
  })
  t.after(() => served.close())
  return served
}

function start({ witness }: Pick<Served, 'witness'>, program = 'waits.sh') {
  return spawn(...commandOf(program), { stdio: 'ignore', env: witness.env })
}

for (const kind of frameworks) {
  suite(`${kind.name}: outside()`, () => {
    test('returns the result of the function, and what that starts, at once or later, outlives the request', async (t) => {
      const served = await serveHang(t, kind, async (served) => {
        const started = await served.guard.outside(async () => {
          start(served)
          await null
          start(served)
          setTimeout(() => start(served), 1)
          return once(start(served), 'spawn')
        })
        assert.deepEqual(started, [])
        // In the same request, but not outside().
        start(served, 'background-child.sh')
      })
      const asked = ask(served.port, '/hang')
      await served.witness.present(4 + 2)
      asked.leave()
      await eventually('its own child is gone', () => served.witness.living().length === 4)
      await assertClean(served)
      assert.deepEqual(
        served.witness.living().map(({ name }) => name),
        ['waits', 'waits', 'waits', 'waits']
      )
    })
  })
}

suite('outside()', () => {
  test('a child started from the exit event of such a child belongs to no request either', async (t) => {
    const served = await serveHang(t, fastify, (served) =>
      served.guard.outside(() => {
        start(served).once('exit', () => start(served))
      })
    )
    const asked = ask(served.port, '/hang')
    const [first] = await served.witness.present(1)
    asked.leave()
    await assertClean(served)
    process.kill(first?.pid as number)
    await served.witness.present(2)
    await assertLeft(served, 1)
  })

  test('does not affect what a scope starts', async (t) => {
    const served = await serveHang(t, fastify, (served, request) =>
      served.guard.outside(() => served.run(request, 'waits.sh'))
    )
    const asked = ask(served.port, '/hang')
    await served.witness.present(1)
    asked.leave()
    await assertGone(served)
  })

  for (const capture of [true, false]) {
    test(`works in jobs too, and just calls the function where there is none (capture: ${capture})`, async (t) => {
      const guarded = await Guarded.start({ capture })
      t.after(() => guarded.close())
      assert.equal(
        guarded.guard.outside(() => 1),
        1
      )
      await guarded.guard.run({}, async () => {
        guarded.guard.outside(() => guarded.runApart('waits.sh'))
        await guarded.witness.present(1)
      })
      assert.equal(guarded.witness.living().length, 1)
      assert.throws(
        () =>
          guarded.guard.outside(() => {
            throw new Error('thrown inside')
          }),
        /thrown inside/
      )
    })
  }

  test('rejects anything but a function', async (t) => {
    const guarded = await Guarded.start({ capture: true })
    t.after(() => guarded.close())
    for (const wrong of [undefined, null, 5, 'pool', Promise.resolve()]) {
      assert.throws(() => guarded.guard.outside(wrong as never), { ...isTypeError, message: /^task is / })
    }
  })
})

suite('capture.except', () => {
  const script = commandOf('waits.sh')[1][0] as string
  const spared: Record<string, [except: string | RegExp, start: (served: Served) => unknown]> = {
    'a name': ['sh', (served) => start(served)],
    'the last part of a path': [
      'sh',
      ({ witness }) => spawn('/bin/sh', [script], { stdio: 'ignore', env: witness.env })
    ],
    'a path': ['/bin/sh', ({ witness }) => spawn('/bin/sh', [script], { stdio: 'ignore', env: witness.env })],
    'a regular expression': [/^sh \/.*\/waits\.sh$/, (served) => start(served)],
    'a regular expression with the g flag': [/waits/g, (served) => start(served)],
    'the command line of a shell': [
      /waits\.sh/,
      ({ witness }) => exec(`exec sh '${script}'`, { env: witness.env })
    ],
    'the module of a fork': [
      /pool-worker/,
      ({ witness }) => fork(poolWorker, { stdio: 'ignore', env: witness.env })
    ]
  }

  for (const [what, [except, startSpared]] of Object.entries(spared)) {
    test(`excludes what ${what} matches, and nothing else`, async (t) => {
      const served = await serveHang(
        t,
        fastify,
        (served) => {
          startSpared(served)
          startSpared(served)
          spawn('sleep', ['1000'], { stdio: 'ignore', env: served.witness.env })
        },
        { except: ['soffice', except, /no such/] }
      )
      const asked = ask(served.port, '/hang')
      await served.witness.present(2)
      await eventually('the other one is captured', () => served.witness.heirs().length >= 3)
      asked.leave()
      await eventually('its scope has ended what is left', () => served.scopeLines.length === 1)
      const { processes } = served.scopeLines[0] as unknown as { processes: { command: string }[] }
      assert.deepEqual(
        processes.map(({ command }) => command),
        ['sleep 1000']
      )
      assert.equal(served.witness.living().length, 2)
    })
  }

  test('does not match part of a name', async (t) => {
    const except = ['s', 'h', '/bin', 'sh ', script]
    const served = await serveHang(t, fastify, (served) => start(served), { except })
    const asked = ask(served.port, '/hang')
    await served.witness.present(1)
    asked.leave()
    await assertGone(served)
  })

  test('applies to jobs too', async (t) => {
    const guarded = await Guarded.start({ capture: { except: [/background/] } })
    t.after(() => guarded.close())
    await guarded.guard.run({}, async () => {
      guarded.runApart('background-child.sh')
      guarded.runApart('waits.sh')
      await guarded.witness.present(3)
    })
    assert.deepEqual(
      guarded.witness.living().map(({ name }) => name),
      ['child', 'shell']
    )
  })

  test('excludes nothing if it is empty or missing', async (t) => {
    for (const capture of [{}, { except: [] }]) {
      const served = await serveHang(t, fastify, (served) => start(served), capture)
      const asked = ask(served.port, '/hang')
      await served.witness.present(1)
      asked.leave()
      await assertGone(served)
    }
  })
})

test('what a job starts after its scope has closed is ended and logged', async (t) => {
  const guarded = await Guarded.start({ capture: true })
  t.after(() => guarded.close())
  let later = (): void => {}
  await guarded.guard.run({}, async () => {
    new Promise<void>((resolve) => {
      later = resolve
    }).then(() => guarded.runApart('waits.sh'))
  })
  later()
  await eventually('it is logged', () => guarded.lines('adopted after').length === 1)
  assert.deepEqual(guarded.witness.heirs(), [])
})

suite('a pool of workerpool that a request created', () => {
  /** How a request uses the pool. */
  type Use = (served: Served, use: () => PromiseLike<number>) => PromiseLike<number>

  /** Starts a server whose first request creates the pool, which has one worker at a time. */
  async function servePool(
    t: TestContext,
    use: Use,
    capture: boolean | CaptureOptions = true
  ): Promise<Served> {
    let pool: Pool | undefined
    const served = await fastify.serve({ guard: { capture } }, (served) => {
      const { env } = served.witness
      const options = { workerType: 'process', minWorkers: 1, maxWorkers: 1, forkOpts: { env } } as const
      const call = (method: string) => (): PromiseLike<number> => {
        pool ??= workerpool.pool(poolWorker, options)
        return pool.exec(method)
      }
      served.get('/pid', async () => String(await use(served, call('pid'))))
      served.get('/crash', async () =>
        use(served, call('crash')).then(
          () => 'it lives',
          () => 'crashed'
        )
      )
    })
    // This also ends the workers of the pool. The pool itself would wait for ever for a worker that has
    // already exited.
    t.after(() => served.close())
    return served
  }

  async function pidOf(served: Served): Promise<number> {
    const { status, body } = await ask(served.port, '/pid').answer
    assert.equal(status, 200, body)
    return Number(body)
  }

  const ways: Record<string, [use: Use, capture?: CaptureOptions]> = {
    'and uses outside()': [({ guard }, use) => guard.outside(use)],
    'and whose workers `except` excludes': [(_served, use) => use(), { except: [/pool-worker\.mjs/] }]
  }

  for (const [way, [use, capture]] of Object.entries(ways)) {
    test(`${way} keeps its workers and their replacements`, async (t) => {
      const served = await servePool(t, use, capture)
      const first = await pidOf(served)
      await assertClean(served)
      assert.equal(await pidOf(served), first, 'the next request uses the same worker')
      assert.equal((await ask(served.port, '/crash').answer).body, 'crashed')
      await served.witness.present(2)
      await assertClean(served)
      const second = await pidOf(served)
      assert.notEqual(second, first)
      await assertClean(served)
      assert.equal(await pidOf(served), second)
      assert.deepEqual(
        served.witness.living().map(({ pid }) => pid),
        [second]
      )
      assert.deepEqual(served.scopeLines, [])
    })
  }

  test('otherwise loses its worker at the end of that request', async (t) => {
    const served = await servePool(t, (_served, use) => use())
    const first = await pidOf(served)
    await eventually('the worker has ended', () => served.witness.living().every(({ pid }) => pid !== first))
    await eventually('it is logged', () => served.scopeLines.length === 1)
  })

  test('keeps a worker that the request releases', async (t) => {
    const served = await fastify.serve({ guard: { capture: true } }, (served) => {
      let child: ReturnType<typeof fork> | undefined
      served.get('/pid', async ({ subprocesses }) => {
        child ??= subprocesses.release(fork(poolWorker, { stdio: 'ignore', env: served.witness.env }))
        await served.witness.present(1)
        return String(child.pid)
      })
    })
    t.after(() => served.close())
    const first = await pidOf(served)
    await assertClean(served)
    assert.equal(await pidOf(served), first)
    assert.equal(served.witness.living().length, 1)
  })
})
