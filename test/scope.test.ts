/** The methods of a scope other than those that start commands, and their effect when the scope closes. */

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import { execa } from 'execa'
import type { GuardOptions, Scope, SubprocessError } from 'fastify-subprocess-guard'
import { ask } from './harness/client.js'
import { distantMs } from './harness/deadlines.js'
import { assertGone, eventually } from './harness/expectations.js'
import { commandOf, Guarded } from './harness/guarded.js'
import { bestLevel } from './harness/level.js'
import { patienceMs } from './harness/patience.js'
import { argumentsOf, lives, statOf } from './harness/proc.js'
import { grace, serve } from './harness/server.js'
import { shareKeeper } from './harness/shared-keeper.js'
import { Worker } from './harness/worker.js'

async function startGuarded(t: TestContext, options: GuardOptions = {}): Promise<Guarded> {
  const guarded = await Guarded.start(options)
  t.after(() => guarded.close())
  return guarded
}

async function startWorker(t: TestContext): Promise<Worker> {
  const worker = await Worker.start()
  t.after(() => worker.close())
  return worker
}

function pidsOf(processes: readonly { pid: number }[]): number[] {
  return processes.map(({ pid }) => pid).sort((a, b) => a - b)
}

const isTypeError = (error: Error): boolean => error instanceof TypeError
const withReason = (reason: string) => (error: SubprocessError) => error.reason === reason

suite('while another guard also uses the keeper', () => {
  shareKeeper()

  suite('adopt', () => {
    const adoptables: Record<string, (guarded: Guarded) => { child: Parameters<Scope['adopt']>[0] }> = {
      'a ChildProcess': (guarded) => ({ child: guarded.runApart('own-group.sh') }),
      'a process id': (guarded) => ({ child: guarded.runApart('own-group.sh').pid as number }),
      'an execa promise'({ witness: { env } }) {
        const promise = execa(...commandOf('own-group.sh'), {
          env: env as Record<string, string>,
          stdio: 'ignore'
        })
        // The test ends the process, so this rejection is expected.
        promise.catch(() => {})
        return { child: promise }
      }
    }

    for (const [what, start] of Object.entries(adoptables)) {
      test(`ends ${what} with the scope, including its grandchild in another process group`, async (t) => {
        const guarded = await startGuarded(t)
        const scope = guarded.guard.open()
        const { child } = start(guarded)
        const announced = await guarded.witness.present(3)
        assert.equal(scope.adopt(child), child)
        const { processes, survivors } = await scope.close()
        await assertGone(guarded)
        assert.deepEqual(pidsOf(processes), pidsOf(announced))
        assert.deepEqual(survivors, [])
      })
    }

    test('ends a child whose parent has exited since the last scan', async (t) => {
      const guarded = await startGuarded(t)
      const scope = guarded.guard.open()
      const leader = scope.adopt(guarded.runApart('background-child.sh'))
      await guarded.witness.present(2)
      assert.equal((await scope.list()).length, 2)
      leader.kill('SIGKILL')
      await once(leader, 'exit')
      assert.equal(guarded.witness.living().length, 1)
      await scope.close()
      await assertGone(guarded)
    })

    test('ends the process when the worker is killed', async (t) => {
      const worker = await startWorker(t)
      await worker.withScope('adopt')
      await worker.witness.present(2)
      worker.kill('SIGKILL')
      await assertGone(worker)
      await worker.keeperDead()
    })

    test('refuses processes that the worker needs, and values that are no process', async (t) => {
      const { guard } = await startGuarded(t)
      const scope = guard.open()
      for (const pid of [process.pid, process.ppid, guard.keeper, 1, 0, -1, 1.5, Number.NaN]) {
        assert.throws(() => scope.adopt(pid), isTypeError, `${pid}`)
        assert.throws(() => scope.adopt({ pid }), isTypeError, `{ pid: ${pid} }`)
      }
      for (const junk of [null, undefined, '1234', true]) {
        assert.throws(() => scope.adopt(junk as never), isTypeError, `${junk}`)
      }
      assert.deepEqual((await scope.close()).processes, [])
    })

    test('accepts a child that could not be started, and one that has exited', async (t) => {
      const guarded = await startGuarded(t)
      const scope = guarded.guard.open()
      const failed = spawn('/no/such/program')
      await once(failed, 'error')
      const ended = spawn('true')
      await once(ended, 'exit')
      assert.equal(scope.adopt(failed), failed)
      assert.equal(scope.adopt(ended), ended)
      assert.deepEqual(await scope.list(), [])
      assert.deepEqual((await scope.close()).processes, [])
    })

    test('in a closed scope throws, but still ends the process and logs that', async (t) => {
      const guarded = await startGuarded(t)
      const scope = guarded.guard.open()
      await scope.close('deadline')
      const child = guarded.runApart('own-group.sh')
      const announced = await guarded.witness.present(3)
      assert.throws(() => scope.adopt(child), withReason('deadline'))
      await assertGone(guarded)
      await eventually('it is logged', () => guarded.lines('adopted after').length === 1)
      const [line] = guarded.lines('adopted after')
      assert.equal(line?.level, 'warn')
      assert.deepEqual(pidsOf(line?.fields.processes as { pid: number }[]), pidsOf(announced))
    })
  })

  suite('release', () => {
    test('before the start takes effect even if the scope closes at once', async (t) => {
      const guarded = await startGuarded(t)
      const scope = guarded.guard.open()
      const child = scope.release(guarded.run(scope, 'waits.sh'))
      assert.equal(child.pid, undefined)
      assert.throws(() => scope.release(child), isTypeError)
      assert.deepEqual((await scope.close()).processes, [])
      await guarded.witness.present(1)
      assert.equal(guarded.witness.living().length, 1)
    })

    test('of a command that cannot be started does not delay close()', async (t) => {
      const guarded = await startGuarded(t)
      const scope = guarded.guard.open()
      scope.release(scope.spawn('/no/such/program', { stdio: 'ignore' }))
      const { closeMs } = await scope.close()
      assert.ok(closeMs < patienceMs, `${closeMs}`)
      assert.equal(guarded.lines('its error was not handled').length, 1)
    })

    test('lets a command outlive a killed worker', async (t) => {
      const worker = await startWorker(t)
      await worker.withScope('release')
      await worker.witness.present(2)
      worker.run('waits.sh')
      await worker.witness.present(3)
      worker.kill('SIGKILL')
      await worker.keeperDead()
      const living = worker.witness.living().map(({ name }) => name)
      assert.deepEqual(living.sort(), ['child', 'shell'])
    })

    test('still emits the events of the command', async (t) => {
      const guarded = await startGuarded(t)
      const scope = guarded.guard.open()
      const child = guarded.run(scope, 'waits.sh')
      await guarded.witness.present(1)
      scope.release(child)
      await scope.close()
      assert.equal(child.kill('SIGKILL'), true)
      assert.deepEqual(await once(child, 'exit'), [null, 'SIGKILL'])
    })

    test('refuses anything but a running subprocess of this scope', async (t) => {
      const guarded = await startGuarded(t)
      const scope = guarded.guard.open()
      const other = guarded.guard.open()
      const ended = scope.spawn('true')
      await once(ended, 'close')
      const released = guarded.run(scope, 'waits.sh')
      await guarded.witness.present(1)
      scope.release(released)
      const unreleasable: Record<string, ChildProcess> = {
        'of another scope': guarded.run(other, 'waits.sh'),
        'of no scope': guarded.runApart('waits.sh'),
        ended,
        'released already': released
      }
      await guarded.witness.present(3)
      for (const [what, child] of Object.entries(unreleasable)) {
        assert.throws(() => scope.release(child), isTypeError, what)
      }
      assert.throws(() => scope.release(undefined as never), isTypeError)
      await other.close()
    })
  })

  suite('defer', () => {
    test('runs functions in reverse order, one after the other, when the process tree has ended', async (t) => {
      const guarded = await startGuarded(t)
      const scope = guarded.guard.open()
      guarded.run(scope, 'tree-ignores-term.sh')
      await guarded.witness.present(4)
      const order: string[] = []
      scope.defer(() => order.push('first'))
      scope.defer(async () => {
        order.push('second begins')
        await new Promise((resolve) => setImmediate(resolve))
        order.push('second ends')
      })
      scope.defer(() => order.push(`third, with ${guarded.witness.living().length} alive`))
      const closed = scope.close()
      assert.deepEqual(order, [])
      await closed
      assert.deepEqual(order, ['third, with 0 alive', 'second begins', 'second ends', 'first'])
    })

    test('logs a function that fails, and runs the others', async (t) => {
      const guarded = await startGuarded(t)
      const scope = guarded.guard.open()
      let ran = 0
      scope.defer(() => ran++)
      scope.defer(() => Promise.reject(new Error('rejected')))
      scope.defer(() => {
        throw new Error('thrown')
      })
      scope.defer(() => ran++)
      await scope.close()
      assert.equal(ran, 2)
      const messages = guarded
        .lines('a deferred function failed')
        .map(({ fields }) => (fields.err as Error).message)
      assert.deepEqual(messages, ['thrown', 'rejected'])
    })

    test('runs what is deferred while the scope closes, and runs it at once in a closed scope', async (t) => {
      const { guard } = await startGuarded(t)
      const scope = guard.open()
      const order: string[] = []
      scope.defer(() => {
        order.push('outer')
        scope.defer(() => order.push('inner'))
      })
      await scope.close()
      await new Promise<void>((resolve) => scope.defer(resolve))
      assert.deepEqual(order, ['outer', 'inner'])
      assert.throws(() => scope.defer('no function' as never), isTypeError)
    })
  })

  suite('the deadline of a scope', () => {
    test('can be extended: a request is served after its original deadline', async (t) => {
      let answer = (): void => {}
      const served = await serve({ guard: { timeout: 100 } }, (app) => {
        app.get('/extended', async (request) => {
          request.subprocesses.extend(60_000)
          await new Promise<void>((resolve) => {
            answer = resolve
          })
          return 'served'
        })
        app.get('/not-extended', () => new Promise(() => {}))
      })
      t.after(() => served.close())
      const extended = ask(served.port, '/extended')
      await eventually(
        'the first request has arrived',
        () => served.app.subprocessGuard.scopes().length === 1
      )
      // This request came later: after its deadline, the original deadline of the first has passed too.
      assert.equal((await ask(served.port, '/not-extended').answer).status, 503)
      answer()
      assert.deepEqual(await extended.answer.then(({ status, body }) => [status, body]), [200, 'served'])
    })

    test('determines the order in which scopes with different extensions end', async (t) => {
      const { guard } = await startGuarded(t)
      const order: number[] = []
      const isEarly: boolean[] = []
      const dueAt = new Map<number, number>()
      const scopes = [150, 50, 0, 100].map((ms) => {
        const openedAt = performance.now()
        const scope = guard.open({ timeout: 50 })
        if (ms > 0) scope.extend(ms)
        dueAt.set(ms, scope.deadline)
        scope.signal.addEventListener('abort', () => {
          order.push(ms)
          isEarly.push(performance.now() - openedAt < 50 + ms)
        })
        return scope
      })
      const reports = await Promise.all(scopes.map((scope) => scope.closed))
      // If the machine paused while they were opened, their deadlines are in another order.
      const byDeadline = [...dueAt].sort(([, one], [, other]) => one - other).map(([ms]) => ms)
      assert.deepEqual(order, byDeadline)
      for (const { reason } of reports) assert.equal(reason, 'deadline')
      assert.deepEqual(isEarly, [false, false, false, false])
    })

    test('is readable, and extensions add up', async (t) => {
      const { guard } = await startGuarded(t)
      const isAbout = (ms: number, expected: number): boolean => ms <= expected && ms > expected - patienceMs
      const scope = guard.open({ timeout: distantMs })
      const leftMs = scope.deadline - Date.now()
      // Date.now() and performance.now() may differ by a millisecond.
      assert.ok(isAbout(leftMs - 1, distantMs), `${leftMs}`)
      assert.ok(isAbout(scope.remaining, distantMs), `${scope.remaining}`)
      scope.extend(distantMs)
      scope.extend(distantMs)
      assert.ok(isAbout(scope.remaining, 3 * distantMs), `${scope.remaining}`)
      for (const junk of [-1, 1.5, Number.NaN, '5', undefined]) {
        assert.throws(() => scope.extend(junk as never), isTypeError, `${junk}`)
      }
      await scope.close()
      assert.ok(isAbout(scope.remaining, 3 * distantMs), `${scope.remaining}`)
      assert.throws(() => scope.extend(1), withReason('closed'))
    })

    test('is infinite when there is no timeout', async (t) => {
      const { guard } = await startGuarded(t)
      const scope = guard.open({ timeout: false })
      scope.extend(1)
      assert.equal(scope.deadline, Number.POSITIVE_INFINITY)
      assert.equal(scope.remaining, Number.POSITIVE_INFINITY)
    })

    test('leaves a remaining time of 0, never less, when it has passed', async (t) => {
      const { guard } = await startGuarded(t)
      const scope = guard.open({ timeout: 1 })
      await scope.closed
      assert.equal(scope.remaining, 0)
    })
  })

  suite('signal', () => {
    for (const reason of ['deadline', 'shutdown', 'failed'] as const) {
      test(`aborts with the close reason: ${reason}`, async (t) => {
        const { guard } = await startGuarded(t)
        const scope = guard.open({ timeout: reason === 'deadline' ? 50 : false })
        const { signal } = scope
        const aborted = once(signal, 'abort')
        if (reason === 'shutdown') void guard.close()
        else if (reason === 'failed') void scope.close('failed')
        await aborted
        assert.equal((signal.reason as SubprocessError).name, 'SubprocessError')
        assert.equal((signal.reason as SubprocessError).reason, reason)
      })
    }

    test('is aborted when it is first read in a closed scope', async (t) => {
      const { guard } = await startGuarded(t)
      const scope = guard.open()
      await scope.close()
      assert.equal(scope.signal.aborted, true)
      assert.equal((scope.signal.reason as SubprocessError).reason, 'closed')
    })
  })

  suite('list', () => {
    test('contains every living process, whatever started it', async (t) => {
      const guarded = await startGuarded(t)
      const scope = guarded.guard.open()
      guarded.run(scope, 'daemon.sh')
      await guarded.witness.present(2)
      scope.adopt(guarded.runApart('own-group.sh'))
      const announced = await guarded.witness.present(5)
      await untilExecuted(announced)
      const processes = await scope.list()
      assert.deepEqual(pidsOf(processes), pidsOf(announced))
      for (const { pid, parent, command, ageMs, memoryBytes } of processes) {
        assert.equal(parent, statOf(pid)?.parent)
        assert.ok(ageMs >= 0 && ageMs < 60_000, `${ageMs}`)
        assert.ok(memoryBytes > 4_096, `${memoryBytes}`)
        assert.notEqual(command, '')
      }
      await scope.close()
      assert.deepEqual(await scope.list(), [])
    })

    test('contains a daemon that had no environment at the first scan, as during exec', async (t) => {
      const guarded = await startGuarded(t)
      const scope = guarded.guard.open()
      const command = guarded.run(scope, 'daemon-finds-mark.sh', [], { stdio: ['pipe', 'ignore', 'ignore'] })
      const bare = (await guarded.witness.present(2)).find(({ name }) => name === 'bare')
      // Only a cgroup shows that the daemon belongs to this scope.
      const known = bestLevel === 'cgroup' ? [command, bare] : [command]
      assert.deepEqual(pidsOf(await scope.list()), pidsOf(known as { pid: number }[]))
      command.stdin?.write('go on\n')
      const marked = (await guarded.witness.present(3)).at(-1)
      assert.deepEqual([marked?.name, marked?.pid], ['marked', bare?.pid])
      await untilExecuted([marked as { pid: number }])
      assert.deepEqual(pidsOf(await scope.list()), pidsOf([command, bare] as { pid: number }[]))
    })

    test('does not contain a process of another scope', async (t) => {
      const guarded = await startGuarded(t)
      const [one, other] = [guarded.guard.open(), guarded.guard.open()]
      guarded.run(one, 'waits.sh')
      await guarded.witness.present(1)
      assert.equal((await one.list()).length, 1)
      assert.deepEqual(await other.list(), [])
    })
  })

  suite('tempDir', () => {
    test('is private, and is removed with its content when the process tree has ended', async (t) => {
      const guarded = await startGuarded(t)
      const scope = guarded.guard.open()
      const path = scope.tempDir()
      assert.equal(statSync(path).mode & 0o777, 0o700)
      assert.notEqual(scope.tempDir(), path)
      mkdirSync(join(path, 'folder'))
      writeFileSync(join(path, 'folder', 'file'), 'content')
      guarded.run(scope, 'keeps-folder.sh', [path])
      await guarded.witness.present(1)
      const { leftFolders } = await scope.close()
      await guarded.witness.heard('folder is there')
      assert.equal(existsSync(path), false)
      assert.deepEqual(leftFolders, [])
      assert.throws(() => scope.tempDir(), withReason('closed'))
    })

    test('is removed even when TMPDIR is a relative path', async (t) => {
      const { guard } = await startGuarded(t)
      const scope = guard.open()
      const before = process.env.TMPDIR
      const otherPath = scope.tempDir()
      process.env.TMPDIR = relative(process.cwd(), dirname(otherPath))
      t.after(() => {
        if (before === undefined) delete process.env.TMPDIR
        else process.env.TMPDIR = before
      })
      const path = scope.tempDir()
      assert.equal(existsSync(path), true)
      await scope.close()
      assert.equal(existsSync(path), false)
    })

    test('is removed by the keeper when the worker is killed', async (t) => {
      const worker = await startWorker(t)
      await worker.withScope('temp-dir')
      await worker.witness.present(1)
      assert.equal(worker.temporaryFiles().length, 2)
      worker.kill('SIGKILL')
      await worker.keeperDead()
      assert.deepEqual(worker.temporaryFiles(), [])
    })

    test('throws an error that names the parent directory and the way out when it cannot be made', async (t) => {
      const { guard } = await startGuarded(t)
      const scope = guard.open()
      const { TMPDIR } = process.env
      process.env.TMPDIR = '/nowhere'
      t.after(() => {
        process.env.TMPDIR = TMPDIR
      })
      const message =
        /^cannot create a temporary directory in \/nowhere \(ENOENT.*\); set TMPDIR to a writable directory$/
      assert.throws(() => scope.tempDir(), { code: 'ENOENT', message })
    })

    test('is logged by the keeper when it cannot be removed after the worker was killed', async (t) => {
      const worker = await startWorker(t)
      await worker.withScope('temp-dir')
      await worker.witness.present(1)
      const [path] = worker.said('folder')
      const restore = makeUnremovable(dirname(path as string))
      worker.kill('SIGKILL')
      await worker.keeperDead()
      restore()
      const [line] = await worker.keeperLines()
      assert.deepEqual(
        line?.leftFolders?.map(({ path }) => path),
        [path]
      )
    })

    test('is reported when it cannot be removed', async (t) => {
      const guarded = await startGuarded(t)
      const scope = guarded.guard.open()
      const parent = mkdtempSync(join(tmpdir(), 'parent-'))
      const { TMPDIR } = process.env
      process.env.TMPDIR = parent
      const path = scope.tempDir()
      process.env.TMPDIR = TMPDIR
      const restore = makeUnremovable(parent)
      t.after(() => {
        restore()
        rmSync(parent, { recursive: true })
      })
      const { leftFolders } = await scope.close()
      assert.equal(leftFolders.length, 1)
      assert.equal(leftFolders[0]?.path, path)
      assert.notEqual(leftFolders[0]?.why, '')
      const [line] = guarded.lines('could not be removed')
      assert.equal(line?.level, 'error')
      assert.deepEqual(line?.fields.leftFolders, leftFolders)
    })
  })

  test('fork starts a program with an IPC channel, and the program ends with the scope', async (t) => {
    const { guard } = await startGuarded(t)
    const scope = guard.open()
    const child = scope.fork(new URL('./harness/forked.js', import.meta.url))
    child.send('hello')
    assert.deepEqual(await once(child, 'message').then(([message]) => message), {
      echo: 'hello',
      pid: child.pid
    })
    assert.deepEqual(pidsOf(await scope.list()), [child.pid])
    const { processes } = await scope.close()
    assert.equal(lives(child.pid), false)
    assert.deepEqual(
      processes.map(({ pid, ended }) => ({ pid, ended })),
      [{ pid: child.pid, ended: 'SIGTERM' }]
    )
    assert.throws(() => scope.fork(new URL('./harness/forked.js', import.meta.url)), withReason('closed'))
  })

  suite('closed', () => {
    test('reports which processes were alive and how each of them ended', async (t) => {
      const guarded = await startGuarded(t)
      const scope = guarded.guard.open()
      guarded.run(scope, 'sibling-ignores-term.sh')
      const announced = await guarded.witness.present(2)
      const report = await scope.close('failed')
      assert.equal(await scope.closed, report)
      assert.equal(await scope.close('deadline'), report)
      assert.equal(report.scope, scope.id)
      assert.equal(report.reason, 'failed')
      assert.equal(scope.reason, 'failed')
      assert.ok(report.closeMs >= grace && report.openMs >= 0)
      const endOf = Object.fromEntries(report.processes.map(({ pid, ended }) => [pid, ended]))
      const pidOf = (wanted: string): number => announced.find(({ name }) => name === wanted)?.pid as number
      assert.deepEqual(endOf, { [pidOf('leader')]: 'SIGTERM', [pidOf('ignores-term')]: 'SIGKILL' })
      assert.deepEqual(report.survivors, [])
    })

    test('waits for a command that is already exiting, and does not report it as killed', async (t) => {
      const guarded = await startGuarded(t)
      const scope = guarded.guard.open()
      // Freeing so much memory takes the kernel a while. The program has only one thread: other threads would
      // keep the memory in use.
      const hog = ['if=/dev/zero', 'of=/dev/null', 'bs=512M', 'count=1']
      const child = scope.spawn('dd', hog, { stdio: 'ignore' })
      if (child.pid === undefined) await once(child, 'spawn')
      const until = performance.now() + patienceMs
      // Poll without yielding to the event loop: a pause would be longer than the exit.
      while (statOf(child.pid as number)?.hasMemory)
        assert.ok(performance.now() < until, 'the command does not exit')
      const { processes } = await scope.close()
      assert.equal(lives(child.pid), false)
      assert.deepEqual(processes, [])
    })

    test('has an empty report, and nothing is logged, when the scope was not used', async (t) => {
      const guarded = await startGuarded(t)
      const { processes, survivors, leftFolders } = await guarded.guard.open().close()
      assert.deepEqual(
        { processes, survivors, leftFolders },
        { processes: [], survivors: [], leftFolders: [] }
      )
      assert.deepEqual(guarded.said, [])
    })

    test('resolves at the end of the block with `await using`', async (t) => {
      const guarded = await startGuarded(t)
      {
        await using scope = guarded.guard.open()
        guarded.run(scope, 'waits.sh')
        await guarded.witness.present(1)
      }
      await assertGone(guarded)
      assert.deepEqual(guarded.guard.scopes(), [])
    })
  })
})

suite('when the keeper ends', () => {
  for (const launch of ['keeper', 'direct'] as const) {
    test(`release lets a subprocess and its children outlive scope and guard (launch: ${launch})`, async (t) => {
      const guarded = await startGuarded(t, { launch })
      const scope = guarded.guard.open()
      const child = guarded.run(scope, 'own-group.sh')
      const released = pidsOf(await guarded.witness.present(3))
      assert.equal(scope.release(child), child)
      guarded.run(scope, 'waits.sh')
      await guarded.witness.present(4)
      const { processes } = await scope.close()
      assert.equal(processes.length, 1)
      assert.deepEqual(pidsOf(guarded.witness.living()), released)
      const { keeper } = guarded.guard
      await guarded.guard.close()
      await eventually('the keeper is gone', () => !lives(keeper))
      assert.deepEqual(pidsOf(guarded.witness.living()), released)
      assert.deepEqual(guarded.lines('its error was not handled'), [])
    })
  }

  test('adopt in a scope whose guard is closed ends the process without a keeper', async (t) => {
    const guarded = await startGuarded(t)
    const scope = guarded.guard.open()
    await guarded.guard.close()
    const child = guarded.runApart('own-group.sh')
    const announced = await guarded.witness.present(3)
    assert.throws(() => scope.adopt(child), withReason('shutdown'))
    await assertGone(guarded)
    await eventually('it is logged', () => guarded.lines('adopted after').length === 1)
    const [line] = guarded.lines('adopted after')
    assert.equal(line?.level, 'warn')
    assert.deepEqual(pidsOf(line?.fields.processes as { pid: number }[]), pidsOf(announced))
  })

  test('tempDir is removed when the keeper is killed', async (t) => {
    const { guard } = await startGuarded(t)
    const scope = guard.open()
    const path = scope.tempDir()
    process.kill(guard.keeper, 'SIGKILL')
    const { reason, leftFolders } = await scope.closed
    assert.equal(reason, 'keeper-lost')
    assert.deepEqual(leftFolders, [])
    assert.equal(existsSync(path), false)
  })
})

/**
 * Resolves when each process has executed its program. Until then it may still be the shell that announced
 * it, and its memory and its parent may change.
 */
async function untilExecuted(processes: readonly { pid: number }[]): Promise<void> {
  const isProgram = ({ pid }: { pid: number }): boolean =>
    /(^|\/)(sleep|timeout)$/.test(argumentsOf(pid)[0] ?? '') && statOf(pid)?.state === 'S'
  await eventually('every process has executed its program', () => processes.every(isProgram))
}

/**
 * Replaces a directory by a file, so that nothing in it can be removed. Returns a function that restores it.
 */
function makeUnremovable(folder: string): () => void {
  renameSync(folder, `${folder}-away`)
  writeFileSync(folder, '')
  return () => {
    rmSync(folder)
    renameSync(`${folder}-away`, folder)
  }
}
