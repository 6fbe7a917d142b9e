/** A command that waits for its place is a normal `ChildProcess`, and whoever leaves lets the next one run. */

import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { suite, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import {
  createGuard,
  type ExecError,
  type GuardOptions,
  type Limits,
  type Scope,
  type Subprocess,
  type SubprocessError
} from 'fastify-subprocess-guard'
import { assertGone, eventually } from './harness/expectations.js'
import { Guarded } from './harness/guarded.js'
import { patienceMs } from './harness/patience.js'
import { end, lives } from './harness/proc.js'
import { shareKeeper } from './harness/shared-keeper.js'
import { Turns } from './harness/turns.js'
import { installWithoutKoffi } from './harness/without-koffi.js'

const withoutKoffi = await installWithoutKoffi()
process.once('exit', withoutKoffi.remove)

const root = fileURLToPath(new URL('../../', import.meta.url))
const isBusy = { code: 'ERR_SUBPROCESS_BUSY', statusCode: 503 }

const levels: readonly { name: string; create: typeof createGuard }[] = [
  { name: 'at the best containment level', create: createGuard },
  { name: 'at the containment level "marks"', create: withoutKoffi.createGuard }
]

interface Setting {
  readonly guarded: Guarded
  readonly turns: Turns
  readonly scope: Scope
}

/** A guard with one place, which is taken by the command `first` of a scope of its own. */
async function takePlace(
  t: TestContext,
  create: typeof createGuard,
  limits: Limits = { concurrency: 1 },
  options: GuardOptions = {}
): Promise<Setting> {
  const guarded = await Guarded.start({ limits, timeout: false, ...options }, create)
  t.after(() => guarded.close())
  const turns = new Turns(guarded.witness)
  turns.spawn(guarded.guard.open(), 'first')
  await turns.untilStarted(1)
  return { guarded, turns, scope: guarded.guard.open() }
}

/** Resolves at 'close' with the events of a command and the most important value of each. */
async function eventsOf(child: Subprocess): Promise<unknown[]> {
  const events: unknown[] = []
  for (const name of ['spawn', 'exit', 'close']) {
    child.on(name, (...values: unknown[]) => events.push([name, ...values]))
  }
  child.on('error', (error: NodeJS.ErrnoException) => events.push(['error', error.code]))
  await new Promise((resolve) => child.once('close', resolve))
  return events
}

const endedBy = (signal: NodeJS.Signals) => [
  ['exit', null, signal],
  ['close', null, signal]
]

interface Way {
  readonly options?: object
  readonly leave: (child: Subprocess, scope: Scope, abort: AbortController) => unknown
  readonly events: unknown[]
}

/** The ways in which a command leaves the queue. */
const ways: Record<string, Way> = {
  'by kill()': { leave: (child) => assert.equal(child.kill(), true), events: endedBy('SIGTERM') },
  'by kill() with a number': { leave: (child) => child.kill(9), events: endedBy('SIGKILL') },
  'by terminate()': {
    options: { killSignal: 'SIGINT' },
    leave: async (child) => {
      assert.deepEqual(await child.terminate(), { processes: [], survivors: [] })
      assert.equal(child.signalCode, 'SIGINT')
    },
    events: endedBy('SIGINT')
  },
  'by its timeout': { options: { timeout: 50 }, leave: () => {}, events: endedBy('SIGTERM') },
  'by its signal': {
    leave: (_child, _scope, abort) => abort.abort(),
    events: [['error', 'ABORT_ERR'], ...endedBy('SIGTERM')]
  },
  'by the end of its scope': {
    leave: (_child, scope) => void scope.close(),
    events: [
      ['error', 'ERR_SUBPROCESS_SCOPE_CLOSED'],
      ['close', null, null]
    ]
  },
  'by the deadline of its scope': {
    leave: (_child, scope) => void scope.close('deadline'),
    events: [
      ['error', 'ERR_SUBPROCESS_DEADLINE'],
      ['close', null, null]
    ]
  }
}

for (const { name, create } of levels) {
  suite(name, () => {
    shareKeeper(create)

    for (const [how, { options, leave, events }] of Object.entries(ways)) {
      test(`a command that leaves ${how} gives its place in the queue to the next one, and never starts`, async (t) => {
        const { turns, guarded, scope } = await takePlace(t, create, { concurrency: 1, queue: 1 })
        const abort = new AbortController()
        const child = turns.spawn(scope, 'leaves', { signal: abort.signal, ...options })
        const seen = eventsOf(child)
        const other = guarded.guard.open()
        assert.throws(() => turns.spawn(other, 'too many'), isBusy)
        await leave(child, scope, abort)
        if (how === 'by its timeout') await seen
        // At once, before its events.
        const next = turns.spawn(other, 'next')
        const spawned = once(next, 'spawn')
        assert.deepEqual(await seen, events)
        assert.equal(child.pid, undefined)
        assert.equal(child.kill(), false)
        await turns.end('first')
        assert.deepEqual(await turns.untilStarted(2), ['first', 'next'])
        await spawned
        assert.equal(next.pid, turns.pidOf('next'))
        await turns.end('next')
        await assertGone(guarded)
      })
    }

    test('a command that waits is not ended by signals that end no process, and gets them at its start', async (t) => {
      const { turns, scope } = await takePlace(t, create)
      const child = turns.spawn(scope, 'stopped')
      assert.equal(child.kill(0), true)
      assert.equal(child.kill('SIGSTOP'), true)
      const spawned = once(child, 'spawn')
      await turns.end('first')
      await spawned
      assert.equal(child.kill('SIGCONT'), true)
      assert.deepEqual(await turns.untilStarted(2), ['first', 'stopped'])
      await turns.end('stopped')
    })

    test('what is written while a command waits arrives, and its output, status and context are as always', async (t) => {
      const { turns, scope } = await takePlace(t, create)
      const context = new AsyncLocalStorage<string>()
      const seen: unknown[] = []
      const cat = context.run('of the call', () => {
        const cat = scope.spawn('cat')
        for (const event of ['spawn', 'exit', 'close']) {
          cat.on(event, () => seen.push([event, context.getStore(), cat.pid !== undefined]))
        }
        cat.stdin.write('written ')
        cat.stdin.end('while it waits')
        return cat
      })
      const output = text(cat.stdout)
      const run = scope.execFile('cat', { input: 'input' })
      const stream = scope.stream('cat')
      stream.end('streamed')
      const streamed = text(stream)
      assert.equal(cat.pid, undefined)
      await turns.end('first')
      assert.equal(await output, 'written while it waits')
      assert.deepEqual(await run, { stdout: 'input', stderr: '' })
      assert.equal(await streamed, 'streamed')
      assert.equal(cat.exitCode, 0)
      const expected = ['spawn', 'exit', 'close'].map((event) => [event, 'of the call', true])
      assert.deepEqual(seen, expected)
    })

    test('a stream that is destroyed, or fails like a connection, while its command waits does not keep it from running', async (t) => {
      const { turns, scope } = await takePlace(t, create)
      const [one, other] = [scope.spawn('cat'), scope.spawn('cat')]
      one.stdin.destroy()
      other.stdin.on('error', () => {})
      other.stdin.destroy(Object.assign(new Error('the upload was cut'), { code: 'ECONNRESET' }))
      for (const { stdout } of [one, other]) stdout.resume()
      const ends = Promise.all([once(one, 'close'), once(other, 'close')])
      await turns.end('first')
      assert.deepEqual(await ends, [
        [0, null],
        [0, null]
      ])
    })

    test('execFile and stream of a command that is ended while it waits fail as those of one that is ended', async (t) => {
      const { scope } = await takePlace(t, create)
      const run = scope.execFile('echo', ['never'])
      run.child.kill()
      await assert.rejects(run, (error: ExecError) => {
        assert.equal(error.message, 'Command failed: echo: ended by SIGTERM')
        assert.deepEqual([error.signal, error.killed, error.stdout], ['SIGTERM', true, ''])
        return true
      })
      const stream = scope.stream('echo', ['never'])
      stream.child.kill('SIGINT')
      await assert.rejects(text(stream), { code: 'ERR_SUBPROCESS_FAILED', signal: 'SIGINT' })
    })

    test('a command that cannot be started gives its place to the next one', async (t) => {
      const { turns, scope } = await takePlace(t, create)
      const failures = Array.from({ length: 3 }, () => scope.execFile('/no/such/program'))
      const next = scope.execFile('echo', ['next'])
      await turns.end('first')
      for (const failure of failures) await assert.rejects(failure, { code: 'ENOENT' })
      assert.equal((await next).stdout, 'next\n')
    })

    test('a job has numbers of its own, for its scope alone', async (t) => {
      const guarded = await Guarded.start({}, create)
      t.after(() => guarded.close())
      const turns = new Turns(guarded.witness)
      const jobs = ['a', 'b'].map((job) =>
        guarded.guard.run({ limits: { concurrency: 1, queue: 1 } }, async (scope) => {
          const commands = [1, 2].map((number) => turns.spawn(scope, `${job}${number}`))
          assert.throws(
            () => turns.spawn(scope, 'too many'),
            (error: SubprocessError) => {
              assert.match(error.message, /: limits\.queue of the job is 1, and no more can wait$/)
              assert.deepEqual([error.retryAfter, error.headers], [1, { 'retry-after': '1' }])
              return true
            }
          )
          await Promise.all(commands.map((command) => once(command, 'close')))
        })
      )
      assert.deepEqual((await turns.untilStarted(2)).toSorted(), ['a1', 'b1'])
      await turns.end('b1')
      assert.deepEqual((await turns.untilStarted(3)).at(-1), 'b2')
      await turns.end('a1')
      await turns.untilStarted(4)
      for (const name of ['a2', 'b2']) await turns.end(name)
      await Promise.all(jobs)
      await assertGone(guarded)
    })

    test('a released command gives its place to the next one, and outlives its scope', async (t) => {
      const { turns, guarded, scope } = await takePlace(t, create)
      const released = turns.spawn(scope, 'released while it waits')
      scope.release(released)
      const running = turns.spawn(scope, 'released while it runs')
      const last = scope.execFile('echo', ['last'])
      t.after(() => {
        for (const name of turns.started) end(turns.pidOf(name))
      })
      await turns.end('first')
      assert.equal((await turns.untilStarted(3)).length, 3)
      assert.equal(turns.running, 2)
      scope.release(running)
      assert.equal((await last).stdout, 'last\n')
      await scope.close()
      assert.equal(turns.running, 2)
      for (const name of turns.started) end(turns.pidOf(name))
      await assertGone(guarded)
    })

    test('a command that is released while it waits may start while its scope closes', async (t) => {
      const { turns, guarded, scope } = await takePlace(t, create)
      const released = turns.spawn(scope, 'released')
      scope.release(released)
      // In one tick: the worker hears of the end when the scope is closing. Closing waits for 2 s.
      end(turns.pidOf('first'))
      await scope.close()
      assert.deepEqual(await turns.untilStarted(2), ['first', 'released'])
      assert.ok(lives(turns.pidOf('released')))
      await turns.end('released')
      await assertGone(guarded)
    })

    test('a command that is released and does not get its turn fails with its scope', async (t) => {
      const { turns, guarded, scope } = await takePlace(t, create)
      const released = turns.spawn(scope, 'released')
      scope.release(released)
      const seen = eventsOf(released)
      await scope.close()
      assert.deepEqual(await seen, [
        ['error', 'ERR_SUBPROCESS_SCOPE_CLOSED'],
        ['close', null, null]
      ])
      await turns.end('first')
      assert.deepEqual(turns.started, ['first'])
      await assertGone(guarded)
    })

    test('a direct launch takes a place, and is refused if there is none or somebody waits', async (t) => {
      const { turns, guarded, scope } = await takePlace(t, create)
      const direct = { stdio: ['ignore', 'ignore', 'ignore', 'ignore'] }
      assert.throws(() => turns.spawn(scope, 'direct', direct), isBusy)
      assert.throws(() => scope.fork('no such module'), isBusy)
      await turns.end('first')
      await eventually('the place is free', () => {
        try {
          turns.spawn(scope, 'direct', direct)
          return true
        } catch (error) {
          assert.equal((error as SubprocessError).code, 'ERR_SUBPROCESS_BUSY')
          return false
        }
      })
      await turns.untilStarted(2)
      turns.spawn(scope, 'next')
      const another = once(turns.spawn(scope, 'another'), 'close')
      assert.throws(() => turns.spawn(scope, 'too many', direct), isBusy)
      await turns.end('direct')
      assert.deepEqual(await turns.untilStarted(3), ['first', 'direct', 'next'])
      await turns.end('next')
      assert.deepEqual(await turns.untilStarted(4), ['first', 'direct', 'next', 'another'])
      await turns.end('another')
      await another
      // One that fails gives its place back in the same turn.
      for (let count = 0; count < 3; count++) {
        scope.spawn('/no/such/program', { stdio: [0, 1, 2] }).once('error', () => {})
      }
      assert.equal((await scope.execFile('echo', ['last'])).stdout, 'last\n')
      await assertGone(guarded)
    })

    test('processes that are adopted or captured take no place', async (t) => {
      const guarded = await Guarded.start({ capture: true, limits: { concurrency: 1, queue: 0 } }, create)
      t.after(() => guarded.close())
      await guarded.guard.run({}, async (scope) => {
        guarded.runApart('waits.sh')
        scope.adopt(guarded.guard.outside(() => guarded.runApart('waits.sh')))
        await guarded.witness.present(2)
        assert.equal((await scope.execFile('echo', ['runs'])).stdout, 'runs\n')
      })
      await assertGone(guarded)
    })

    test('close() of the guard fails what waits, and ends what runs', async (t) => {
      const { turns, guarded, scope } = await takePlace(t, create)
      const children = Array.from({ length: 20 }, (_, index) => turns.spawn(scope, `${index}`))
      const seen = children.map(eventsOf)
      await guarded.guard.close()
      for (const events of await Promise.all(seen)) {
        assert.deepEqual(events, [
          ['error', 'ERR_SUBPROCESS_SHUTDOWN'],
          ['close', null, null]
        ])
      }
      assert.deepEqual(turns.started, ['first'])
      await assertGone(guarded)
    })
  })
}

for (const { name, create } of levels) {
  test(`${name}, a command that waits when its keeper is lost fails, and its place is free`, async (t) => {
    const { turns, guarded, scope } = await takePlace(t, create)
    const seen = eventsOf(turns.spawn(scope, 'waits'))
    process.kill(guarded.guard.keeper, 'SIGKILL')
    assert.deepEqual(await seen, [
      ['error', 'ERR_SUBPROCESS_KEEPER_LOST'],
      ['close', null, null]
    ])
    await eventually('the scopes are closed', () => guarded.guard.scopes().length === 0)
    await eventually('there is another keeper', () => guarded.guard.keeper !== 0)
    const next = guarded.guard.open()
    const outputs = [1, 2, 3].map((number) => next.execFile('echo', [`${number}`]))
    assert.deepEqual(
      (await Promise.all(outputs)).map(({ stdout }) => stdout),
      ['1\n', '2\n', '3\n']
    )
    assert.deepEqual(turns.started, ['first'])
    await assertGone(guarded)
  })
}

test('a command that waits keeps the worker running, unless it is unreferenced', () => {
  const program = (reference: string): string => `
    import { createGuard } from 'fastify-subprocess-guard'
    const guard = await createGuard({ limits: { concurrency: 1 } })
    const scope = guard.open({ timeout: false })
    scope.spawn('sleep', ['${reference === 'ref' ? '0.1' : '1000'}'], { stdio: 'ignore' }).unref()
    const child = scope.spawn('true')
    child.${reference}()
    child.once('close', () => console.log('closed'))`
  const [kept, left] = ['ref', 'unref'].map((reference) => {
    const args = ['--input-type=module', '--eval', program(reference)]
    return spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8', timeout: patienceMs })
  })
  assert.deepEqual([kept?.stdout, kept?.status], ['closed\n', 0], kept?.stderr)
  assert.deepEqual([left?.stdout, left?.status], ['', 0], left?.stderr)
})
