/** Work outside requests: jobs, each in its own scope, and `createGuard()` without a framework. */

import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { suite, type TestContext, test } from 'node:test'
import { createGuard, type GuardOptions, type Scope, type SubprocessError } from 'fastify-subprocess-guard'
import { distantMs, passDeadlines } from './harness/deadlines.js'
import { assertGone, eventually } from './harness/expectations.js'
import { Guarded } from './harness/guarded.js'
import { statOf } from './harness/proc.js'
import { grace, serve } from './harness/server.js'
import { shareKeeper } from './harness/shared-keeper.js'

// In ms, for jobs that need not have started anything by their deadline.
const timeout = 100
const never = (): Promise<never> => new Promise(() => {})

async function startGuarded(t: TestContext, options: GuardOptions = {}): Promise<Guarded> {
  const guarded = await Guarded.start(options)
  t.after(() => guarded.close())
  return guarded
}

/** Returns a job that starts a process tree and never settles. */
function hang(guarded: Guarded): (scope: Scope) => Promise<never> {
  return (scope) => {
    guarded.run(scope, 'tree-ignores-term.sh')
    return never()
  }
}

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => {}
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}

const withCode = (code: string) => (error: SubprocessError) => {
  assert.equal(error.code, code)
  return true
}

suite('with a keeper shared with another guard', () => {
  shareKeeper()

  suite('run', () => {
    test('resolves with the result of the job once its processes have ended', async (t) => {
      const guarded = await startGuarded(t)
      let jobScope: Scope | undefined
      const result = await guarded.guard.run({}, async (scope) => {
        jobScope = scope
        guarded.run(scope, 'daemon.sh')
        await guarded.witness.present(2)
        return 'result'
      })
      assert.equal(result, 'result')
      assert.deepEqual(guarded.witness.living(), [])
      assert.equal(jobScope?.reason, 'finished')
      assert.deepEqual(guarded.guard.scopes(), [])
      await assertGone(guarded)
    })

    test('accepts a synchronous job', async (t) => {
      const { guard } = await startGuarded(t)
      assert.equal(await guard.run({}, () => 5), 5)
      const thrown = guard.run({}, () => {
        throw new Error('at once')
      })
      await assert.rejects(thrown, { message: 'at once' })
    })

    test('rejects with the error of the job once its processes have ended', async (t) => {
      const guarded = await startGuarded(t)
      let jobScope: Scope | undefined
      const job = guarded.guard.run({}, async (scope) => {
        jobScope = scope
        guarded.run(scope, 'waits.sh')
        await guarded.witness.present(1)
        throw new Error('the job')
      })
      await assert.rejects(job, { message: 'the job' })
      assert.deepEqual(guarded.witness.living(), [])
      assert.equal(jobScope?.reason, 'failed')
    })

    test('rejects after the deadline, once its processes have ended, even if the job hangs', async (t) => {
      const guarded = await startGuarded(t)
      const job = guarded.guard.run({ timeout: distantMs }, hang(guarded))
      const rejected = assert.rejects(job, withCode('ERR_SUBPROCESS_DEADLINE'))
      await guarded.witness.present(4)
      await passDeadlines()
      await rejected
      assert.deepEqual(guarded.witness.living(), [])
      await assertGone(guarded)
      assert.equal(guarded.lines('scope closed (deadline)').length, 1)
    })

    test('rejects with the deadline, not with the error that the deadline causes in the job', async (t) => {
      const { guard } = await startGuarded(t)
      let child: ChildProcess | undefined
      const job = guard.run({ timeout: distantMs }, (scope) => {
        const run = scope.execFile('sleep', ['1000'])
        child = run.child
        return run
      })
      const rejected = assert.rejects(job, (error: SubprocessError) => {
        assert.equal(error.code, 'ERR_SUBPROCESS_DEADLINE')
        assert.match((error.cause as Error).message, /^Command failed: sleep: ended by SIGTERM$/)
        return true
      })
      await eventually('the command runs', () => child?.pid !== undefined)
      await passDeadlines()
      await rejected
    })

    test('rejects at the deadline even if the job ignores it and returns', async (t) => {
      const { guard } = await startGuarded(t)
      const job = guard.run({ timeout }, async (scope) => {
        await scope.execFile('sleep', ['1000']).catch(() => {})
        return 'as if nothing had happened'
      })
      await assert.rejects(job, withCode('ERR_SUBPROCESS_DEADLINE'))
    })

    test('has the timeout of the guard by default', async (t) => {
      const guarded = await startGuarded(t, { timeout })
      await assert.rejects(guarded.guard.run({}, hang(guarded)), withCode('ERR_SUBPROCESS_DEADLINE'))
      assert.equal(
        await guarded.guard.run({ timeout: false }, (scope) => scope.remaining),
        Number.POSITIVE_INFINITY
      )
    })

    test('may extend its deadline', async (t) => {
      const { guard } = await startGuarded(t)
      const short = guard.open({ timeout: 100 })
      const job = guard.run({ timeout: 50 }, async (scope) => {
        scope.extend(60_000)
        // By the time the other scope closes, the original deadline has passed.
        await short.closed
        return 'result'
      })
      assert.equal(await job, 'result')
    })

    test('rejects with the reason of the signal when that is aborted', async (t) => {
      const guarded = await startGuarded(t)
      const controller = new AbortController()
      const job = guarded.guard.run({ signal: controller.signal }, hang(guarded))
      await guarded.witness.present(4)
      controller.abort(new Error('no longer wanted'))
      await assert.rejects(job, { message: 'no longer wanted' })
      assert.deepEqual(guarded.witness.living(), [])
      await assertGone(guarded)
    })

    test('does not call the job if the signal is already aborted', async (t) => {
      const { guard } = await startGuarded(t)
      let isCalled = false
      const job = guard.run({ signal: AbortSignal.abort(new Error('no longer wanted')) }, () => {
        isCalled = true
      })
      await assert.rejects(job, { message: 'no longer wanted' })
      assert.equal(isCalled, false)
      assert.deepEqual(guard.scopes(), [])
    })

    test('leaves no listener on a signal that outlives it', async (t) => {
      const { guard } = await startGuarded(t)
      const { signal } = new AbortController()
      let listeners = 0
      const { addEventListener, removeEventListener } = signal
      signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
        listeners++
        addEventListener.apply(signal, args)
      }
      signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
        listeners--
        removeEventListener.apply(signal, args)
      }
      await guard.run({ signal }, (scope) => scope.execFile('true'))
      assert.equal(listeners, 0)
    })

    test('rejects at shutdown even if the job hangs', async (t) => {
      const guarded = await startGuarded(t)
      const job = guarded.guard.run({}, hang(guarded))
      job.catch(() => {})
      await guarded.witness.present(4)
      await guarded.guard.close()
      await assert.rejects(job, withCode('ERR_SUBPROCESS_SHUTDOWN'))
      await assertGone(guarded)
      await assert.rejects(
        guarded.guard.run({}, () => 1),
        withCode('ERR_SUBPROCESS_SHUTDOWN')
      )
    })

    test('lets the job go on after it has closed its own scope', async (t) => {
      const guarded = await startGuarded(t)
      const result = await guarded.guard.run({}, async (scope) => {
        guarded.run(scope, 'waits.sh')
        await guarded.witness.present(1)
        const { processes } = await scope.close()
        await new Promise((resolve) => setImmediate(resolve))
        return processes.length
      })
      assert.equal(result, 1)
    })

    test('rejects invalid options and a missing job, and opens no scope', async (t) => {
      const { guard } = await startGuarded(t)
      const invalid: Record<string, object> = {
        'options.timeout is 0': { timeout: 0 },
        'options.timeout is "1"': { timeout: '1' },
        'options.grace is -1': { grace: -1 },
        'options.killSignal is "SIGNONE"': { killSignal: 'SIGNONE' },
        'options.drain is 1': { drain: 1 },
        'options.none is 1': { none: 1 },
        'signal is {}': { signal: {} }
      }
      for (const [message, options] of Object.entries(invalid)) {
        await assert.rejects(guard.run(options, never), (error: Error) => {
          assert.ok(error instanceof TypeError)
          assert.ok(error.message.startsWith(message), error.message)
          return true
        })
      }
      await assert.rejects(guard.run((() => {}) as never, undefined as never), TypeError)
      assert.deepEqual(guard.scopes(), [])
    })
  })

  suite('open', () => {
    test('returns a scope that lasts until it is closed', async (t) => {
      const guarded = await startGuarded(t)
      const scope = guarded.guard.open()
      guarded.run(scope, 'daemon.sh')
      await guarded.witness.present(2)
      assert.deepEqual(guarded.guard.scopes(), [scope])
      await scope.close()
      assert.deepEqual(guarded.guard.scopes(), [])
      await assertGone(guarded)
    })

    test('closes the scope at its deadline, and when its signal is aborted', async (t) => {
      const { guard } = await startGuarded(t)
      assert.equal((await guard.open({ timeout }).closed).reason, 'deadline')
      const controller = new AbortController()
      const { closed } = guard.open({ signal: controller.signal })
      controller.abort()
      assert.equal((await closed).reason, 'closed')
    })

    test('may set grace period and killSignal', async (t) => {
      const guarded = await startGuarded(t, { grace: 60_000 })
      const scope = guarded.guard.open({ grace, killSignal: 'SIGINT' })
      guarded.run(scope, 'tree-ignores-term.sh')
      await guarded.witness.present(4)
      const { processes } = await scope.close()
      // Background commands of a shell ignore SIGINT, so these end by SIGKILL.
      assert.ok(processes.some(({ ended }) => ended === 'SIGINT'))
      await assertGone(guarded)
    })
  })

  suite('createGuard', () => {
    test('rejects if an option is invalid', async () => {
      for (const options of [
        { drain: 1.5 },
        { timeout: 0 },
        { launch: 'other' },
        { capture: 1 },
        { none: 1 }
      ]) {
        await assert.rejects(createGuard(options as never), TypeError)
      }
    })

    test('drains jobs at close(), and rejects new ones', async (t) => {
      const { guard } = await startGuarded(t, { drain: 60_000 })
      const { promise: released, resolve: release } = withResolvers()
      const job = guard.run({}, async (scope) => {
        await released
        return (await scope.execFile('echo', ['done'])).stdout
      })
      const closed = guard.close()
      await assert.rejects(
        guard.run({}, () => 1),
        withCode('ERR_SUBPROCESS_SHUTDOWN')
      )
      release()
      assert.equal(await job, 'done\n')
      await closed
    })

    test('ends a job that takes longer than the drain', async (t) => {
      const guarded = await startGuarded(t, { drain: 50 })
      const rejected = assert.rejects(
        guarded.guard.run({}, hang(guarded)),
        withCode('ERR_SUBPROCESS_SHUTDOWN')
      )
      await guarded.witness.present(3)
      await guarded.guard.close()
      await rejected
      await assertGone(guarded)
    })

    test('gives scopes of different guards different ids', async (t) => {
      const [one, other] = await Promise.all([startGuarded(t), startGuarded(t)])
      assert.notEqual(one.guard.open().id, other.guard.open().id)
    })

    test('may be closed twice, and closes its open scopes', async (t) => {
      const guarded = await startGuarded(t)
      const scope = guarded.guard.open()
      guarded.run(scope, 'daemon.sh')
      await guarded.witness.present(2)
      await Promise.all([guarded.guard.close(), guarded.guard.close()])
      assert.equal((await scope.closed).reason, 'shutdown')
      await assertGone(guarded)
    })

    test('logs to standard error by default', async (t) => {
      const guard = await createGuard()
      t.after(() => guard.close())
      const lines: string[] = []
      t.mock.method(process.stderr, 'write', (line: string) => lines.push(line) > 0)
      const scope = guard.open()
      scope.defer(() => {
        throw new Error('deferred')
      })
      await scope.close()
      t.mock.restoreAll()
      const line = JSON.parse(lines[0] as string)
      assert.equal(line.level, 50)
      assert.equal(line.scope, scope.id)
      assert.equal(line.err.message, 'deferred')
    })
  })

  test('the guard of a Fastify instance runs jobs too', async (t) => {
    const served = await serve({}, () => {})
    t.after(() => served.close())
    const result = await served.app.subprocessGuard.run({}, async (scope) => {
      const child = scope.spawn('true')
      const [status] = await once(child, 'close')
      return status
    })
    assert.equal(result, 0)
  })
})

suite('the keeper of a guard', () => {
  test('is shared by all guards, and ends with the last one', async (t) => {
    const [one, other] = await Promise.all([startGuarded(t), startGuarded(t)])
    const { keeper } = one.guard
    assert.equal(other.guard.keeper, keeper)
    await one.guard.close()
    other.run(other.guard.open(), 'waits.sh')
    await other.witness.present(1)
    await other.guard.close()
    await assertGone(other)
    await eventually('the keeper is gone', () => statOf(keeper) === undefined)
  })

  test('ends the running jobs when it is lost: run() rejects', async (t) => {
    const guarded = await startGuarded(t)
    const job = guarded.guard.run({}, hang(guarded))
    job.catch(() => {})
    await guarded.witness.present(4)
    process.kill(guarded.guard.keeper, 'SIGKILL')
    await assert.rejects(job, withCode('ERR_SUBPROCESS_KEEPER_LOST'))
    await assertGone(guarded)
    const output = await guarded.guard.run({}, (scope) => scope.execFile('echo', ['again']))
    assert.equal(output.stdout, 'again\n')
  })
})
