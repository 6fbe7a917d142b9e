/** A failure that no code handles is logged, and does not crash the server (docs/faults.md, 51). */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { afterEach, suite, type TestContext, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { ExecError, GuardOptions, Output } from 'fastify-subprocess-guard'
import { ask } from './harness/client.js'
import { distantMs, passDeadlines } from './harness/deadlines.js'
import { assertGone, eventually } from './harness/expectations.js'
import { commandOf, Guarded, type Said } from './harness/guarded.js'
import { type Kind, kinds } from './harness/kinds.js'
import type { Served } from './harness/served.js'
import { shareKeeper } from './harness/shared-keeper.js'

// Without a handler, each of these events crashes a server.
const fatal: unknown[] = []
for (const event of ['unhandledRejection', 'uncaughtException']) {
  process.on(event, (error) => fatal.push(error))
}
afterEach(async () => {
  // Node reports an unhandled rejection at the end of the turn.
  await turn()
  assert.deepEqual(fatal.splice(0), [])
})

const unheard = 'its error was not handled'
const ends = {
  'its client leaves': ({ asked }) => asked.leave(),
  'its deadline passes': () => passDeadlines(),
  'the server shuts down': ({ served }) => served.guard.close(),
  'it is answered': ({ answer }) => answer(),
  'its keeper is lost': ({ served }) => void process.kill(served.guard.keeper, 'SIGKILL')
} satisfies Record<
  string,
  (at: { served: Served; asked: ReturnType<typeof ask>; answer: () => void }) => unknown
>

/**
 * A request with five runs whose promises are not handled, or only later, and one that its handler waits for.
 */
async function assertLives(t: TestContext, kind: Kind, ending: keyof typeof ends): Promise<void> {
  let answer = (): void => {}
  let late: Promise<unknown> | undefined
  const served = await kind.serve({ guard: { timeout: distantMs } }, (served) => {
    served.get('/runs', async ({ subprocesses }) => {
      const options = { env: served.witness.env }
      const run = (): Promise<Output> => subprocesses.execFile(...commandOf('waits.sh'), options)
      void run()
      void subprocesses.exec(`exec ${commandOf('waits.sh').flat().join(' ')}`, options)
      void run().then(({ stdout }) => JSON.parse(stdout))
      late = run()
      const [first, second] = [run(), run()]
      const answered = new Promise<string>((resolve) => {
        answer = () => resolve('answer')
      })
      await Promise.race([first, answered])
      await (ending === 'it is answered' || second)
      return 'answer'
    })
  })
  t.after(() => served.close())
  const asked = ask(served.port, '/runs')
  await served.witness.present(6)
  await ends[ending]({ served, asked, answer })
  await assertGone(served)
  const lines = (): unknown[] => served.log.filter(({ msg }) => msg.includes(unheard))
  await eventually('each failure is logged', () => lines().length >= 5)
  await assert.rejects(
    late as Promise<unknown>,
    /Command failed|The keeper process ended|did not end within|shutting down/
  )
  await turn()
  assert.equal(lines().length, 5)
}

/** A request that reads lines and handles no errors. readline re-emits the errors of its input. */
async function assertLivesWithReadline(t: TestContext, kind: Kind, ending: keyof typeof ends): Promise<void> {
  let answer = (): void => {}
  const served = await kind.serve({ guard: { timeout: distantMs } }, (served) => {
    served.get('/lines', async ({ subprocesses }) => {
      const command = commandOf('waits.sh')
      const options = { env: served.witness.env }
      const output = subprocesses.spawn(...command, options).stdout
      for (const input of [output, subprocesses.stream(...command, options)]) createInterface({ input })
      await new Promise<void>((resolve) => {
        answer = resolve
      })
      return 'answer'
    })
  })
  t.after(() => served.close())
  const asked = ask(served.port, '/lines')
  await served.witness.present(2)
  await ends[ending]({ served, asked, answer })
  await assertGone(served)
  await eventually('the scope is closed', () => served.guard.scopes().length === 0)
  await turn()
}

const names = Object.keys(ends) as (keyof typeof ends)[]
const isLost = (ending: string): boolean => ending === 'its keeper is lost'

suite('while another guard also uses the keeper', () => {
  shareKeeper()

  for (const kind of kinds) {
    suite(kind.name, () => {
      for (const ending of names.filter((name) => !isLost(name))) {
        test(`a server lives on when ${ending}, whatever results a request has not awaited yet`, (t) =>
          assertLives(t, kind, ending))
        test(`a server lives on when ${ending} while a request reads the output by lines`, (t) =>
          assertLivesWithReadline(t, kind, ending))
      }
    })
  }

  for (const launch of ['keeper', 'direct'] as const) {
    const start = async (t: TestContext, options: GuardOptions = {}): Promise<Guarded> => {
      const guarded = await Guarded.start({ launch, ...options })
      t.after(() => guarded.close())
      return guarded
    }

    /** Waits for the log line of a failure that is not handled. Asserts that it is the only one. */
    const lineOf = async (guarded: Guarded): Promise<Said> => {
      await eventually('it is in the log', () => guarded.lines(unheard).length > 0)
      for (let turns = 0; turns < 10; turns++) await turn()
      const [line, ...more] = guarded.lines(unheard)
      assert.deepEqual(more, [])
      return line as Said
    }

    suite(`a promise of a command, launch: ${launch}`, () => {
      test('whose command fails is logged as one error when it is not handled', async (t) => {
        const guarded = await start(t)
        const run = guarded.guard.open().execFile('sh', ['-c', 'exit 3'])
        const { level, fields } = await lineOf(guarded)
        assert.deepEqual([level, fields.command], ['error', 'sh'])
        await assert.rejects(run, { code: 3 })
        await lineOf(guarded)
      })

      test('whose command ends with its scope is not logged as an error', async (t) => {
        const guarded = await start(t)
        const scope = guarded.guard.open()
        void scope.execFile('sleep', ['1000'])
        await scope.close()
        assert.equal((await lineOf(guarded)).level, 'info')
      })

      test('whose command could not be started is logged as one error', async (t) => {
        const guarded = await start(t)
        void guarded.guard.open().execFile('/no/such/program')
        const { level, fields } = await lineOf(guarded)
        assert.deepEqual([level, (fields.err as NodeJS.ErrnoException).code], ['error', 'ENOENT'])
      })

      for (const [method, derive] of Object.entries({
        'then()': (run: Promise<Output>) => run.then(() => 'never'),
        'catch()': (run: Promise<Output>) =>
          run.catch((error) => {
            throw error
          }),
        'finally()': (run: Promise<Output>) => run.finally(() => {}),
        'then() twice': (run: Promise<Output>) => run.then(() => 'never').then(() => 'never'),
        'two calls of then()': (run: Promise<Output>) => {
          void run.then(() => 'never')
          return run.then(() => 'never')
        }
      })) {
        test(`is logged once together with promises that are derived from it by ${method}`, async (t) => {
          const guarded = await start(t)
          const derived = derive(guarded.guard.open().execFile('sh', ['-c', 'exit 3']))
          assert.equal((await lineOf(guarded)).level, 'error')
          await assert.rejects(derived, { code: 3 })
        })
      }

      test('is not logged when it is handled in time', async (t) => {
        const guarded = await start(t)
        const scope = guarded.guard.open()
        const fail = () => scope.execFile('sh', ['-c', 'exit 3'])
        await assert.rejects(fail(), { code: 3 })
        assert.equal(await fail().catch(() => 'caught'), 'caught')
        const [first, second] = await Promise.allSettled([fail(), fail().then(JSON.parse as never)])
        assert.deepEqual([first.status, second.status], ['rejected', 'rejected'])
        const run = fail()
        await once(run.child, 'close')
        await assert.rejects(run, { code: 3 })
        await turn()
        assert.deepEqual(guarded.lines(unheard), [])
      })

      test('is logged with how its command failed, but not with all that the command wrote', async (t) => {
        const guarded = await start(t)
        const command = 'head -c 100000 /dev/zero; head -c 100000 /dev/zero >&2; echo last words >&2; exit 3'
        void guarded.guard.open().exec(command, { encoding: 'buffer' })
        const { err } = (await lineOf(guarded)).fields as { err: ExecError }
        assert.deepEqual([err.code, err.cmd], [3, command])
        assert.match(String(err.stderr), /last words\n$/)
        assert.ok(JSON.stringify({ ...err }).length < 50_000)
      })

      test('is a real promise with the command as its property `child`', async (t) => {
        const run = (await start(t)).guard.open().execFile('echo', ['out'])
        assert.ok(run instanceof Promise)
        assert.equal(run.child.spawnfile, 'echo')
        const lengths = run.then(({ stdout }) => stdout.length).finally(() => {})
        assert.equal(await lengths, 4)
        assert.equal((await run).stdout, 'out\n')
      })
    })

    suite(`a job, launch: ${launch}`, () => {
      test('that fails is logged as one error when it is not handled', async (t) => {
        const guarded = await start(t)
        const job = guarded.guard.run({}, async (scope) => scope.execFile('sh', ['-c', 'exit 3']))
        assert.equal((await lineOf(guarded)).level, 'error')
        await assert.rejects(job, { code: 3 })
      })

      for (const [when, end] of Object.entries({
        'at its deadline': () => passDeadlines(),
        'at shutdown': (guarded: Guarded) => guarded.guard.close(),
        'at an abort': (_guarded: Guarded, controller: AbortController) => controller.abort()
      })) {
        test(`that is cut short ${when} is not logged as an error`, async (t) => {
          const guarded = await start(t)
          const controller = new AbortController()
          void guarded.guard.run({ timeout: distantMs, signal: controller.signal }, async (scope) => {
            guarded.run(scope, 'waits.sh')
            await new Promise(() => {})
          })
          await guarded.witness.present(1)
          await end(guarded, controller)
          assert.equal((await lineOf(guarded)).level, 'info')
        })
      }

      test('that continues after its end may start processes: they end, and the worker lives on', async (t) => {
        const guarded = await start(t, { capture: true })
        const controller = new AbortController()
        const cut = guarded.guard.run({ signal: controller.signal }, async (scope) => {
          guarded.run(scope, 'waits.sh')
          await scope.closed
          guarded.runApart('waits.sh')
        })
        await guarded.witness.present(1)
        controller.abort(new Error('aborted'))
        await assert.rejects(cut, { message: 'aborted' })
        await assertGone(guarded)
      })
    })

    test(`a failed start without listeners is logged once, together with its streams, launch: ${launch}`, async (t) => {
      const guarded = await start(t)
      guarded.guard.open().spawn('/no/such/program')
      assert.equal((await lineOf(guarded)).level, 'error')
    })

    suite(`ready of a stream, launch: ${launch}`, () => {
      test('and promises that are derived from it are not logged in addition to the stream', async (t) => {
        const guarded = await start(t)
        const stream = guarded.guard.open().stream('sh', ['-c', 'exit 3'])
        void stream.ready.then(() => 'never')
        const { fields } = await lineOf(guarded)
        assert.equal((fields.err as { code: string }).code, 'ERR_SUBPROCESS_FAILED')
        await assert.rejects(stream.ready, { code: 'ERR_SUBPROCESS_FAILED' })
      })
    })
  }

  suite('a command that the worker has started', () => {
    test('and that closes a stream above descriptor 2 early is logged, and the worker lives on', async (t) => {
      const guarded = await Guarded.start()
      t.after(() => guarded.close())
      const scope = guarded.guard.open()
      const child = scope.spawn('sh', ['-c', 'head -c 1 <&3 >&2; exec 3<&-; exec sleep 1000'], {
        stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe']
      })
      const [, , , third, fourth] = child.stdio as unknown as NodeJS.WritableStream[]
      // More than a pipe holds: the rest is still unwritten when the other end is closed.
      const bytes = Buffer.alloc(10_000_000)
      third?.write(bytes)
      fourth?.write(bytes)
      await eventually('it is in the log', () => guarded.lines(unheard).length > 0)
      assert.equal(guarded.lines(unheard)[0]?.level, 'error')
      const isClosed = once(child, 'close')
      await scope.close()
      await isClosed
      assert.deepEqual(
        guarded.lines(unheard).map(({ level }) => level),
        ['error', 'info']
      )
    })

    test('and that is sent a message after its end is logged, and the worker lives on', async (t) => {
      const guarded = await Guarded.start()
      t.after(() => guarded.close())
      const scope = guarded.guard.open()
      const child = scope.spawn('sh', ['-c', 'exec sleep 1000'], {
        stdio: ['ignore', 'ignore', 'ignore', 'ipc']
      })
      const exited = once(child, 'exit')
      await scope.close()
      await exited
      child.send?.('too late')
      await eventually('it is in the log', () => guarded.lines(unheard).length === 1)
      assert.equal(guarded.lines(unheard)[0]?.level, 'info')
    })
  })
})

for (const kind of kinds.filter(({ name }) => name.startsWith('Fastify'))) {
  const [lost] = names.filter(isLost)
  test(`a server lives on when ${lost}, whatever results a request has not awaited yet: ${kind.name}`, async (t) => {
    await assertLives(t, kind, lost as never)
  })
}
