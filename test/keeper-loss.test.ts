/**
 * When a keeper is lost, everything that it was running is ended, and another keeper starts (docs/faults.md,
 * 41).
 */

import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { suite, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Scope, SubprocessError } from 'fastify-subprocess-guard'
import { type Answer, ask } from './harness/client.js'
import { limitOwnDescriptors, takeAllDescriptors } from './harness/descriptors.js'
import { assertClean, assertGone, eventually } from './harness/expectations.js'
import { commandOf, Guarded } from './harness/guarded.js'
import { passSilence } from './harness/keeper-silence.js'
import { kinds } from './harness/kinds.js'
import { bestLevel } from './harness/level.js'
import { runNoRoom, whyNoLimit } from './harness/no-room.js'
import { patienceMs } from './harness/patience.js'
import { lives } from './harness/proc.js'
import type { GuardedRequest } from './harness/served.js'
import { Worker } from './harness/worker.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const never = (): Promise<never> => new Promise(() => {})

const cases = [
  { program: 'background-child.sh', count: 2 },
  { program: 'daemon.sh', count: 2 },
  { program: 'tree-ignores-term.sh', count: 4 },
  { program: 'own-group.sh', count: 3 }
]

async function startGuarded(t: TestContext): Promise<Guarded> {
  const guarded = await Guarded.start()
  t.after(() => guarded.close())
  return guarded
}

/** The socket directories of all keepers that use this TMPDIR. */
function socketFolders(): string[] {
  const names = readdirSync(tmpdir()).filter((name) => name.startsWith('subprocess-guard-'))
  return names.map((name) => join(tmpdir(), name))
}

async function killKeeper(pid: number): Promise<void> {
  process.kill(pid, 'SIGKILL')
  await eventually('the keeper is dead', () => !lives(pid))
}

/** Resolves to the pid of a command once it has been started. */
async function pidOf(child: ChildProcess): Promise<number> {
  if (child.pid === undefined) await once(child, 'spawn')
  return child.pid as number
}

for (const kind of kinds) {
  test(`a killed keeper leaves nothing, its requests get 503, and another keeper starts: ${kind.name}`, async (t) => {
    const served = await kind.serve({}, (served) => {
      for (const { program } of cases) {
        served.get(`/${program}`, async (request) => {
          served.run(request, program)
          await never()
        })
      }
      served.get('/echo', async (request) => text(request.spawn('echo', ['again']).stdout as never))
    })
    t.after(() => served.close())
    const asked = cases.map(({ program }) => ask(served.port, `/${program}`).answer)
    await served.witness.present(cases.reduce((sum, { count }) => sum + count, 0))
    const { keeper } = served.guard
    await killKeeper(keeper)
    for (const { status, body } of await Promise.all(asked)) {
      assert.equal(status, 503)
      assert.match(body, /ERR_SUBPROCESS_KEEPER_LOST|The keeper process ended unexpectedly/)
    }
    await assertGone(served)
    await eventually('the scopes are closed', () => served.guard.scopes().length === 0)
    const reported = served.scopeLines.map(({ route, reason, processes }) => ({
      ...{ route, reason, count: (processes as unknown[]).length }
    }))
    const byRoute = (one: { route: unknown }, other: { route: unknown }): number =>
      String(one.route).localeCompare(String(other.route))
    assert.deepEqual(
      reported.sort(byRoute),
      cases
        .map(({ program, count }) => ({ route: `GET /${program}`, reason: 'keeper-lost', count }))
        .sort(byRoute)
    )

    const next = await ask(served.port, '/echo').answer
    assert.equal(next.body, 'again\n')
    assert.notEqual(served.guard.keeper, keeper)
    assert.equal(served.guard.containment, bestLevel)
    await assertClean(served)
  })
}

test('when a keeper is killed while commands start, each request gets 503, whatever it does with its command', async (t) => {
  const handlers: Record<string, (request: GuardedRequest) => Promise<unknown>> = {
    'returns-the-output': async (request) => request.spawn('echo', ['output']).stdout,
    'reads-the-output': async (request) => text(request.spawn('echo', ['output']).stdout as never),
    'waits-for-execFile': async (request) => (await request.subprocesses.execFile('echo', ['output'])).stdout,
    'returns-a-stream': async (request) => request.subprocesses.stream('echo', ['output']),
    'writes-to-a-stream': async (request) => {
      const cat = request.subprocesses.stream('cat')
      cat.end('output\n')
      return cat
    }
  }
  const served = await kinds[0]?.serve({}, (served) => {
    for (const [name, handle] of Object.entries(handlers)) served.get(`/${name}`, handle)
  })
  assert.ok(served)
  t.after(() => served.close())
  const { keeper } = served.guard
  // A stopped keeper still gets connections (the kernel queues them), but does nothing with them.
  process.kill(keeper, 'SIGSTOP')
  const asked = Object.keys(handlers).flatMap((name) =>
    Array.from({ length: 5 }, () => ({ name, ...ask(served.port, `/${name}`) }))
  )
  await eventually('every request has a scope', () => served.guard.scopes().length === asked.length)
  await killKeeper(keeper)
  for (const { name, answer } of asked) {
    const { status, body }: Answer = await answer
    assert.equal(status, 503, `${name}: ${body}`)
    assert.equal(JSON.parse(body).code, 'ERR_SUBPROCESS_KEEPER_LOST', name)
  }
  for (const name of Object.keys(handlers)) {
    const { status, body }: Answer = await ask(served.port, `/${name}`).answer
    assert.deepEqual([status, body], [200, 'output\n'], name)
  }
})

suite('the loss of a keeper', () => {
  test('ends what a scope has adopted, and removes its directory', async (t) => {
    const guarded = await startGuarded(t)
    const scope = guarded.guard.open()
    const folder = scope.tempDir()
    scope.adopt(guarded.runApart('background-child.sh'))
    await guarded.witness.present(2)
    await killKeeper(guarded.guard.keeper)
    const { reason, processes } = await scope.closed
    assert.equal(reason, 'keeper-lost')
    assert.equal(processes.length, 2)
    await assertGone(guarded)
    assert.equal(existsSync(folder), false)
  })

  test('ends what a scope was just ending, with a new grace period', async (t) => {
    const guarded = await startGuarded(t)
    const { witness } = guarded
    const scope = guarded.guard.open({ grace: 60_000 })
    let isClosed = false
    void scope.closed.then(() => {
      isClosed = true
    })
    guarded.run(scope, 'tree-ignores-term.sh')
    const program =
      'exec 9>"$WITNESS"; trap "echo asked >&9" TERM; echo ready >&9; while :; do sleep 0.05; done'
    const finishing = scope.spawn('sh', ['-c', program], { stdio: 'ignore', env: witness.env })
    const asked = (): number => witness.said.filter((line) => line === 'asked').length
    await witness.heard('ready')
    await witness.present(4)
    const closed = scope.close('finished')
    await eventually('a first SIGTERM', () => asked() === 1)
    await killKeeper(guarded.guard.keeper)
    // The grace period starts again: a process that ignored the first SIGTERM gets a second one.
    await eventually('a second SIGTERM', () => asked() === 2)
    assert.equal(isClosed, false)
    assert.equal(witness.living().length, 4)
    for (const { pid } of witness.living()) process.kill(pid, 'SIGKILL')
    process.kill(finishing.pid as number, 'SIGKILL')
    const { survivors } = await closed
    assert.deepEqual(survivors, [])
  })

  test('does not end what was released', async (t) => {
    const guarded = await startGuarded(t)
    const scope = guarded.guard.open()
    const child = scope.spawn(...commandOf('background-child.sh'), {
      stdio: 'ignore',
      env: guarded.witness.env
    })
    await guarded.witness.present(2)
    scope.release(child)
    const other = scope.spawn('sleep', ['1000'], { stdio: 'ignore' })
    const pid = await pidOf(other)
    await scope.list()
    await killKeeper(guarded.guard.keeper)
    const { processes } = await scope.closed
    assert.deepEqual(
      processes.map((process) => process.pid),
      [pid]
    )
    assert.equal(guarded.witness.living().length, 2)
  })

  test('does not end what was released when the worker is killed after that', async (t) => {
    const worker = await Worker.start()
    t.after(() => worker.close())
    await worker.withScope('release')
    await worker.witness.present(2)
    process.kill(worker.keeper as number, 'SIGKILL')
    await eventually('there is another keeper', () => worker.errors.includes('another keeper is starting'))
    const { body } = await ask(worker.port, '/echo').answer
    assert.equal(body, `${bestLevel}\n`)
    worker.kill('SIGKILL')
    // Resolves when the keeper has exited too.
    await worker.output()
    assert.equal(worker.witness.living().length, 2)
  })

  test('does not end commands of the next keeper', async (t) => {
    const guarded = await startGuarded(t)
    const { guard } = guarded
    // Longer than the next keeper needs to start a command.
    const scope = guard.open({ grace: 60_000 })
    guarded.run(scope, 'tree-ignores-term.sh')
    await guarded.witness.present(4)
    await killKeeper(guard.keeper)
    await eventually('there is another keeper', () => guard.keeper !== 0 && scope.reason !== undefined)
    const next = guard.open()
    const pid = await pidOf(next.spawn('sleep', ['1000'], { stdio: 'ignore' }))
    assert.equal(
      guarded.witness.living().length,
      4,
      'the next keeper started too late: the test proves nothing'
    )
    for (const living of guarded.witness.living()) process.kill(living.pid, 'SIGKILL')
    const { processes } = await scope.closed
    assert.ok(processes.every((process) => process.pid !== pid))
    assert.deepEqual(
      (await next.list()).map((process) => process.pid),
      [pid]
    )
  })

  test('does not end what the worker has started outside its scopes', async (t) => {
    const guarded = await startGuarded(t)
    const apart = spawn('sleep', ['1000'], { stdio: 'ignore' })
    t.after(() => apart.kill('SIGKILL'))
    const scope = guarded.guard.open()
    guarded.run(scope, 'waits.sh')
    await guarded.witness.present(1)
    await killKeeper(guarded.guard.keeper)
    await scope.closed
    await assertGone(guarded)
    assert.ok(lives(apart.pid))
  })
})

suite('what a lost keeper was running ends', () => {
  test('when the worker is out of descriptors, and another keeper starts when it has some again', async (t) => {
    const before = new Set(socketFolders())
    const guarded = await startGuarded(t)
    const folders = socketFolders().filter((path) => !before.has(path))
    assert.equal(folders.length, 1)
    const { guard, witness } = guarded
    const scope = guard.open()
    guarded.run(scope, 'tree-ignores-term.sh')
    guarded.run(scope, 'daemon.sh')
    await witness.present(6)
    limitOwnDescriptors(t)
    const giveBack = takeAllDescriptors()
    try {
      process.kill(guard.keeper, 'SIGKILL')
      const { reason, processes, survivors } = await scope.closed
      assert.equal(reason, 'keeper-lost')
      assert.deepEqual([processes.length, survivors.length], [6, 0])
    } finally {
      giveBack()
    }
    await assertGone(guarded)
    assert.equal(existsSync(folders[0] as string), false, 'the directory of the lost keeper is left')
    await eventually('there is another keeper', () => guard.keeper !== 0)
    const { stdout } = await guard.run({}, (scope: Scope) => scope.execFile('echo', ['again']))
    assert.equal(stdout, 'again\n')
  })

  test('when no other keeper can be started (EAGAIN)', { skip: whyNoLimit() ?? false }, () => {
    const { error, events } = runNoRoom('successor')
    assert.equal(error, undefined)
    assert.deepEqual(events, ['keeper-lost', 'SIGTERM', 'SIGTERM'])
  })

  /**
   * A worker that has lost its keeper. The next keeper waits for a command that runs to the end of the grace
   * period.
   */
  async function loseKeeper(t: TestContext): Promise<Worker> {
    const worker = await Worker.start({ options: { grace: 5_000 } })
    t.after(() => worker.close())
    worker.run('heeds-no-term.sh')
    await worker.witness.present(2)
    process.kill(worker.keeper as number, 'SIGKILL')
    // The leader runs on to the end of the grace period.
    await worker.witness.heard('tidied')
    return worker
  }

  test('by the next keeper, although the worker is stopped meanwhile', async (t) => {
    const worker = await loseKeeper(t)
    worker.kill('SIGSTOP')
    await assertGone(worker)
    worker.kill('SIGCONT')
    const { body } = await ask(worker.port, '/echo').answer
    assert.equal(body, `${bestLevel}\n`)
  })

  test('when the worker is killed while the next keeper ends it', async (t) => {
    const worker = await loseKeeper(t)
    worker.kill('SIGKILL')
    await worker.dead()
    await assertGone(worker)
  })
})

suite('a keeper that is killed repeatedly', () => {
  test('is replaced after growing pauses, during which a spawn is refused with 503', async (t) => {
    const guarded = await startGuarded(t)
    const { guard } = guarded
    // The pause of the worker before it starts the next keeper, for each loss in a row.
    const pausesMs = [0, 500, 1_000, 2_000]
    for (const [loss, pauseMs] of pausesMs.entries()) {
      // Taken before the worker can notice the loss.
      const startedAt = performance.now()
      await killKeeper(guard.keeper)
      await eventually('the loss is known', () => guarded.lines('the keeper was lost').length === loss + 1)
      if (pauseMs === 0) assert.notEqual(guard.keeper, 0)
      else {
        assert.throws(() => guard.open(), { code: 'ERR_SUBPROCESS_KEEPER_LOST', statusCode: 503 })
        assert.equal(guard.keeper, 0)
      }
      await eventually('there is another keeper', () => guard.keeper !== 0)
      const ms = performance.now() - startedAt
      // A timer may fire a fraction of a millisecond early.
      assert.ok(ms > pauseMs - 2, `another keeper after ${ms} ms, not ${pauseMs}`)
      const { stdout } = await guard.run({}, (scope: Scope) => scope.execFile('echo', ['again']))
      assert.equal(stdout, 'again\n')
    }
  })

  test('does not keep the guard from closing', async (t) => {
    const guarded = await startGuarded(t)
    await killKeeper(guarded.guard.keeper)
    await eventually('the loss is known', () => guarded.lines('the keeper was lost').length === 1)
    await killKeeper(guarded.guard.keeper)
    await eventually('the loss is known', () => guarded.lines('the keeper was lost').length === 2)
    await guarded.guard.close()
    assert.throws(
      () => guarded.guard.open(),
      ({ code }: SubprocessError) => code === 'ERR_SUBPROCESS_SHUTDOWN'
    )
  })
})

suite('a stopped keeper', () => {
  test('is given up when a scope closes, and the processes of the scope end anyway', async (t) => {
    const guarded = await startGuarded(t)
    const scope = guarded.guard.open()
    guarded.run(scope, 'tree-ignores-term.sh')
    await guarded.witness.present(4)
    const { keeper } = guarded.guard
    process.kill(keeper, 'SIGSTOP')
    const closed = scope.close()
    // Not given up yet: it may only be slow.
    passSilence(6_000)
    assert.equal(guarded.guard.keeper, keeper)
    assert.ok(lives(keeper))
    passSilence(12_000)
    const { processes } = await closed
    assert.equal(processes.length, 4)
    await assertGone(guarded)
    assert.notEqual(guarded.guard.keeper, keeper)
  })

  const waitingCalls = {
    'a command': [(scope: Scope) => scope.execFile('true'), 'ERR_SUBPROCESS_KEEPER_LOST'],
    'a list()': [(scope: Scope) => scope.list(), []]
  } as const
  for (const [what, [ask, expected]] of Object.entries(waitingCalls)) {
    test(`is given up when a scope without a deadline waits for ${what}, and the next keeper serves`, async (t) => {
      const guarded = await startGuarded(t)
      const scope = guarded.guard.open({ timeout: false })
      guarded.run(scope, 'background-child.sh')
      await guarded.witness.present(2)
      const { keeper } = guarded.guard
      process.kill(keeper, 'SIGSTOP')
      const answered = ask(scope).catch((error: NodeJS.ErrnoException) => error.code)
      // By then the message has been sent.
      await new Promise((resolve) => setImmediate(resolve))
      passSilence(12_000)
      assert.deepEqual(await answered, expected)
      assert.equal((await scope.closed).reason, 'keeper-lost')
      await assertGone(guarded)
      await eventually(
        'another keeper serves',
        () => guarded.guard.keeper > 0 && guarded.guard.keeper !== keeper
      )
      const output = await guarded.guard.run(
        {},
        async (next) => (await next.execFile('echo', ['again'])).stdout
      )
      assert.equal(output, 'again\n')
    })
  }
})

suite('a listener that throws', () => {
  const program = `
    import { createGuard } from 'fastify-subprocess-guard'
    const uncaught = []
    let seen
    process.on('uncaughtException', (error) => seen(uncaught.push(error.name)))
    const guard = await createGuard()
    const { keeper } = guard
    const scope = guard.open()
    for (const Thrown of [SyntaxError, RangeError]) {
      const thrown = new Promise((resolve) => (seen = resolve))
      scope.spawn('true', { stdio: 'ignore' }).once('exit', () => { throw new Thrown() })
      await thrown
    }
    const { reason } = await scope.close()
    console.log(JSON.stringify({ uncaught, reason, isSame: guard.keeper === keeper }))
    await guard.close()`

  test('causes an uncaught exception as in Node, and all other events are still emitted', () => {
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
      cwd: root,
      encoding: 'utf8',
      timeout: patienceMs
    })
    assert.deepEqual(
      JSON.parse(stdout || 'null'),
      { uncaught: ['SyntaxError', 'RangeError'], reason: 'closed', isSame: true },
      stderr
    )
  })
})
