/**
 * Commands that fail to start, are killed as they start, or leave their standard streams open, full or closed
 * early; started by the keeper and by direct launch (docs/faults.md, 24 to 27, 56).
 */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { finished } from 'node:stream/promises'
import { suite, test } from 'node:test'
import type { Subprocess } from 'fastify-subprocess-guard'
import { takeDescriptors } from './harness/chains.js'
import { ask } from './harness/client.js'
import { limitOwnDescriptors, takeAllDescriptors } from './harness/descriptors.js'
import { assertClean, assertGone, assertLeft, eventually } from './harness/expectations.js'
import { commandOf, Guarded } from './harness/guarded.js'
import { runNoRoom, whyNoLimit } from './harness/no-room.js'
import { patienceMs } from './harness/patience.js'
import { statOf } from './harness/proc.js'
import { type Served, type Setup, serve } from './harness/server.js'
import { shareKeeper } from './harness/shared-keeper.js'

shareKeeper()

// Longer than the keeper waits for connections when the event loop of the worker is not blocked.
const blockedMs = 11_000

const never = (): Promise<never> => new Promise(() => {})

/** A server with a route for each problem with standard streams. */
function serveStreams(setup: Setup): Promise<Served> {
  return serve(setup, (app, served) => {
    app.get(
      '/holds-stdout',
      async (request) => served.run(request, 'holds-stdout.sh', [], { stdio: 'pipe' }).stdout
    )
    app.get('/chatty', async (request) => {
      served.run(request, 'chatty.sh', [], { stdio: ['ignore', 'pipe', 'ignore'] })
      await never()
    })
    app.get('/closes-stdin', async (request) => {
      const { stdin } = served.run(request, 'closes-stdin.sh', [], { stdio: ['pipe', 'ignore', 'inherit'] })
      await served.witness.present(1)
      const code = new Promise((resolve) => {
        stdin?.once('error', (error: NodeJS.ErrnoException) => resolve(error.code))
      })
      stdin?.write('nobody reads this')
      return await code
    })
  })
}

/** Resolves when the pipe of the command is full: the command then sleeps in its write. */
async function pipeFull(served: Served): Promise<void> {
  const [chatty] = await served.witness.present(1)
  await eventually('the pipe is full', () => statOf(chatty?.pid as number)?.state === 'S')
}

for (const launch of ['keeper', 'direct'] as const) {
  suite(`standard streams, launch: ${launch}`, () => {
    test('held by a grandchild when the command has exited: the answer ends, and so does the grandchild', async (t) => {
      const served = await serveStreams({ guard: { launch } })
      t.after(() => served.close())
      const { status, body, isCut } = await ask(served.port, '/holds-stdout').answer
      assert.deepEqual({ status, body, isCut }, { status: 200, body: 'said\n', isCut: false })
      await served.witness.present(1)
      await assertGone(served)
      await assertClean(served)
    })

    test('written to by a grandchild forever: the answer ends, and so does the grandchild', async (t) => {
      const served = await serve({ guard: { launch } }, (app, served) => {
        const env = served.witness.env
        const command = commandOf('talks-on.sh')
        app.get('/spawn', async (request) => served.run(request, 'talks-on.sh', [], { stdio: 'pipe' }).stdout)
        app.get('/execFile', async (request) => {
          return (await request.subprocesses.execFile(...command, { env })).stdout
        })
        app.get('/stream', async (request) => request.subprocesses.stream(...command, { env }))
      })
      t.after(() => served.close())
      for (const path of ['/spawn', '/execFile', '/stream']) {
        const { status, body, isCut } = await ask(served.port, path).answer
        assert.deepEqual({ status, isCut }, { status: 200, isCut: false })
        assert.match(body, /^said\n(on\n)+$/)
      }
      await assertGone(served)
      await assertClean(served)
    })

    test('written to by a grandchild forever: a slow reader gets all that the command wrote', async (t) => {
      const served = await serve({ guard: { launch } }, () => {})
      t.after(() => served.close())
      const env = served.witness.env
      const output = await served.inRequest(async (request) => {
        const stream = request.subprocesses.stream(...commandOf('leaves-output.sh'), { env })
        let output = ''
        stream.setEncoding('latin1').on('data', (text) => {
          output += text
        })
        await eventually('the first part is read', () => output.length === 2_000_000)
        stream.pause()
        stream.write('\n')
        await once(stream.child, 'exit')
        await served.witness.heard('long after')
        assert.equal(output.length, 2_000_000)
        stream.resume()
        await finished(stream)
        return output
      })
      assert.match(output, /^\0{2163840}whole\n(on\n)+$/)
    })

    test('full at shutdown: the chatty command ends, and nothing is delayed', async (t) => {
      const served = await serveStreams({ guard: { launch } })
      t.after(() => served.close())
      const asked = ask(served.port, '/chatty')
      await pipeFull(served)
      const closed = served.app.close()
      await assertGone(served)
      await closed
      assert.equal((await asked.answer).status, 503)
    })

    test('closed early by the command: the worker gets EPIPE and still serves', async (t) => {
      const served = await serveStreams({ guard: { launch } })
      t.after(() => served.close())
      assert.equal((await ask(served.port, '/closes-stdin').answer).body, 'EPIPE')
      await assertGone(served)
      await assertClean(served)
    })
  })

  suite(`a command that is ended in the tick of its spawn, launch: ${launch}`, () => {
    test('by its scope leaves nothing', async (t) => {
      const served = await serve({ guard: { launch } }, (app, served) => {
        app.get('/run', async (request) => {
          for (let i = 0; i < 20; i++) served.run(request, 'daemon.sh')
          await request.subprocesses.close()
          // A process that has not opened the witness yet still has its environment.
          return served.witness.heirs().length
        })
      })
      t.after(() => served.close())
      assert.equal((await ask(served.port, '/run').answer).body, '0')
      assert.ok(await served.witness.goneWithin(patienceMs), 'one still holds the pipe')
      await assertClean(served)
    })

    test("by kill('SIGKILL') is reported as killed and leaves nothing", async (t) => {
      const served = await serve({ guard: { launch } }, (app, served) => {
        app.get('/run', async (request) => {
          const child = served.run(request, 'daemon.sh')
          child.kill('SIGKILL')
          const [, signal] = await once(child, 'exit')
          return signal
        })
      })
      t.after(() => served.close())
      assert.equal((await ask(served.port, '/run').answer).body, 'SIGKILL')
      await eventually('the scope is closed', () => served.guard.scopes().length === 0)
      assert.deepEqual(served.witness.heirs(), [])
      await assertClean(served)
    })
  })

  suite(`a command that cannot be started, launch: ${launch}`, () => {
    test('because the worker is out of descriptors (EMFILE) emits an error', async (t) => {
      const served = await serve({ guard: { launch } }, () => {})
      t.after(() => served.close())
      limitOwnDescriptors(t)
      const codes = await served.inRequest(async (request) => {
        const freeDescriptors = takeAllDescriptors()
        try {
          const child = request.spawn('echo', ['never'])
          const [error] = await once(child, 'error')
          assert.equal(child.pid, undefined)
          assert.equal(child.kill(), false)
          return [error.code, error.syscall]
        } finally {
          freeDescriptors()
        }
      })
      assert.equal(codes[0], 'EMFILE')
      assert.match(codes[1], /^spawn/)
      const output = await served.inRequest((request) => outputOf(request.spawn('echo', ['again'])))
      assert.equal(output, 'again\n')
      await assertClean(served)
    })

    test('because no process can be created (EAGAIN) emits an error', { skip: whyNoLimit() ?? false }, () => {
      const { error, events, isGuardOpen } = runNoRoom(launch)
      assert.equal(error, undefined)
      assert.deepEqual(events, ['error EAGAIN'])
      assert.equal(isGuardOpen, true)
    })
  })
}

test('a command starts although the event loop is blocked while its connections are made', async (t) => {
  const guarded = await Guarded.start()
  t.after(() => guarded.close())
  await guarded.guard.run({ timeout: false }, async (scope) => {
    const output = outputOf(scope.spawn('echo', ['soon']))
    // By then the keeper has the order, but not yet the connections.
    await new Promise<void>(process.nextTick)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, blockedMs)
    assert.equal(await output, 'soon\n')
  })
})

test('a command fails while the keeper is out of descriptors (EMFILE), and the next one starts when it has some again', async (t) => {
  const guarded = await Guarded.start()
  t.after(() => guarded.close())
  const { keeper } = guarded.guard
  await guarded.guard.run({ timeout: false }, async (scope) => {
    const restore = takeDescriptors(t, keeper)
    await assert.rejects(scope.execFile('echo', ['never']), { code: 'EMFILE' })
    restore()
    assert.equal((await scope.execFile('echo', ['again'])).stdout, 'again\n')
  })
  assert.equal(guarded.guard.keeper, keeper)
})

suite('without the guard', { concurrency: true }, () => {
  test('a grandchild keeps the answer open and lives on', async (t) => {
    const served = await serveStreams({ guard: false })
    t.after(() => served.close())
    const asked = ask(served.port, '/holds-stdout')
    await served.witness.present(1)
    await assertLeft(served, 1)
    asked.leave()
  })

  test('a grandchild that keeps writing keeps the answer open and lives on', async (t) => {
    const served = await serve({ guard: false }, (app, served) => {
      app.get('/', async (request) => served.run(request, 'talks-on.sh', [], { stdio: 'pipe' }).stdout)
    })
    t.after(() => served.close())
    const asked = ask(served.port, '/')
    await served.witness.present(1)
    await assertLeft(served, 1)
    asked.leave()
  })

  for (const path of ['/chatty', '/closes-stdin']) {
    test(`a command of ${path} lives on after the server has closed`, async (t) => {
      const served = await serveStreams({ guard: false })
      t.after(() => served.close())
      ask(served.port, path)
      if (path === '/chatty') await pipeFull(served)
      await served.witness.present(1)
      await served.app.close()
      await assertLeft(served, 1)
    })
  }

  test('a killed command leaves its daemon', async (t) => {
    const served = await serve({ guard: false }, (app, served) => {
      app.get('/run', async (request) => {
        const child = served.run(request, 'daemon.sh')
        await served.witness.present(2)
        child.kill('SIGKILL')
        await once(child, 'exit')
        return 'answer'
      })
    })
    t.after(() => served.close())
    await ask(served.port, '/run').answer
    await assertLeft(served, 1)
  })
})

function outputOf({ stdout }: Subprocess): Promise<string> {
  return text(stdout as NonNullable<typeof stdout>)
}
