/** With `capture`, the children that libraries start during a request belong to its scope. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { chmodSync, copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import type { FastifyRequest } from 'fastify'
import { simpleGit } from 'simple-git'
import { ask } from './harness/client.js'
import { distantMs, passDeadlines } from './harness/deadlines.js'
import { assertClean, assertGone, assertLeft, assertOneLine, eventually } from './harness/expectations.js'
import { commandOf, Guarded } from './harness/guarded.js'
import { type Served, serve } from './harness/server.js'
import { shareKeeper } from './harness/shared-keeper.js'

shareKeeper()

const never = (): Promise<never> => new Promise(() => {})

type Library = (served: Served, request: FastifyRequest) => void

/** Ways to start `background-child.sh`, a tree of two processes, without using the scope. */
const libraries: Record<string, Library> = {
  'child_process.spawn'({ witness }) {
    spawn(...commandOf('background-child.sh'), { stdio: 'ignore', env: witness.env })
  },
  execa({ witness }) {
    const options = { stdio: 'ignore', env: witness.env as Record<string, string> } as const
    execa(...commandOf('background-child.sh'), options).catch(() => {})
  },
  'simple-git'({ witness }) {
    simpleGit({ unsafe: { allowUnsafeCustomBinary: true } })
      .customBinary(fakeGit)
      .env('WITNESS', witness.env.WITNESS as string)
      .status()
      .catch(() => {})
  }
}

const folder = mkdtempSync(join(tmpdir(), 'capture-test-'))
// A fake git that hangs and has a child.
const fakeGit = join(folder, 'git')
before(() => {
  copyFileSync(fileURLToPath(new URL('../../test/programs/background-child.sh', import.meta.url)), fakeGit)
  chmodSync(fakeGit, 0o755)
})
after(() => rmSync(folder, { recursive: true }))

async function serveLibrary(t: TestContext, library: Library, capture: boolean): Promise<Served> {
  const served = await serve({ guard: { capture } }, (app, served) => {
    app.route({
      method: ['GET', 'POST'],
      url: '/hang',
      async handler(request) {
        // Libraries often start commands in a later turn of the event loop than the handler's.
        await new Promise((resolve) => setImmediate(resolve))
        library(served, request)
        await never()
      }
    })
  })
  t.after(() => served.close())
  return served
}

suite('with capture', () => {
  for (const [name, library] of Object.entries(libraries)) {
    for (const json of [undefined, { a: 1 }]) {
      const method = json === undefined ? 'GET' : 'POST'

      test(`what ${name} starts ends with its request (${method})`, async (t) => {
        const served = await serveLibrary(t, library, true)
        const asked = ask(served.port, '/hang', { json })
        await served.witness.present(2)
        asked.leave()
        await assertGone(served)
        const { route } = await assertOneLine(served, 'disconnected')
        assert.equal(route, `${method} /hang`)
        await assertClean(served)
      })
    }
  }

  test('the signal of the request is aborted even when a library treats SIGTERM as success', async (t) => {
    const outcome: unknown[] = []
    const served = await serve({ guard: { capture: true, timeout: distantMs } }, (app, served) => {
      app.get('/log', async (request) => {
        const git = simpleGit({ unsafe: { allowUnsafeCustomBinary: true } }).customBinary(fakeGit)
        await git.env('WITNESS', served.witness.env.WITNESS as string).raw('log')
        outcome.push('resolved')
        try {
          request.subprocesses.signal.throwIfAborted()
        } catch (error) {
          outcome.push((error as { code?: string }).code)
        }
      })
    })
    t.after(() => served.close())
    const { answer } = ask(served.port, '/log')
    await served.witness.present(2)
    await passDeadlines()
    assert.equal((await answer).status, 503)
    await assertGone(served)
    await eventually('the library has finished', () => outcome.length === 2)
    assert.deepEqual(outcome, ['resolved', 'ERR_SUBPROCESS_DEADLINE'])
  })

  test('concurrent requests each own their children', async (t) => {
    const pids = new Map<string, number | undefined>()
    const served = await serve({ guard: { capture: true } }, (app, served) => {
      app.post<{ Body: { name: string } }>('/hang', async (request) => {
        await new Promise((resolve) => setImmediate(resolve))
        const { pid } = spawn(...commandOf('waits.sh'), { stdio: 'ignore', env: served.witness.env })
        pids.set(request.body.name, pid)
        await never()
      })
    })
    t.after(() => served.close())
    const [one, other] = ['one', 'other'].map((name) => ask(served.port, '/hang', { json: { name } }))
    await served.witness.present(2)
    assert.equal(served.app.subprocessGuard.scopes().length, 2)
    one?.leave()
    await eventually('one of them is gone', () => served.witness.living().length === 1)
    assert.equal(served.witness.living()[0]?.pid, pids.get('other'))
    other?.leave()
    await assertGone(served)
  })

  test('a request that starts nothing has no scope', async (t) => {
    const served = await serveLibrary(t, () => {}, true)
    const asked = ask(served.port, '/hang')
    await eventually('the request is there', () => served.log.some(({ msg }) => msg === 'incoming request'))
    await ask(served.port, '/ping').answer
    assert.deepEqual(served.app.subprocessGuard.scopes(), [])
    asked.leave()
  })

  test('a command that the scope spawned is not captured a second time', async (t) => {
    const served = await serve({ guard: { capture: true } }, (app, served) => {
      app.get('/hang', async (request) => {
        served.run(request, 'waits.sh')
        served.run(request, 'waits.sh', [], { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] })
        await never()
      })
    })
    t.after(() => served.close())
    const asked = ask(served.port, '/hang')
    await served.witness.present(2)
    asked.leave()
    await assertGone(served)
    assert.equal((await assertOneLine(served, 'disconnected')).processes.length, 2)
  })

  test('a child that fails to start has no effect', async (t) => {
    const served = await serve({ guard: { capture: true } }, (app) => {
      app.get('/fails', async () => {
        const error = await new Promise<Error>((resolve) => spawn('/no/such/program').once('error', resolve))
        return error.message
      })
    })
    t.after(() => served.close())
    assert.equal((await ask(served.port, '/fails').answer).body, 'spawn /no/such/program ENOENT')
    await assertClean(served)
  })

  for (const hadScope of [false, true]) {
    const which = hadScope ? 'with a scope' : 'without a scope'

    test(`what is spawned after the end of a request ${which} is ended and logged`, async (t) => {
      let goOn = (): void => {}
      const served = await serve({ guard: { capture: true } }, (app, served) => {
        app.get('/early', async (request) => {
          if (hadScope) request.spawn('true')
          new Promise<void>((resolve) => {
            goOn = resolve
          }).then(() => libraries['child_process.spawn']?.(served, request))
          return 'answer'
        })
      })
      t.after(() => served.close())
      assert.equal((await ask(served.port, '/early').answer).body, 'answer')
      await eventually('no scope is open', () => served.app.subprocessGuard.scopes().length === 0)
      goOn()
      // It may be killed before it announces itself. Wait for the log line instead, which is written once its
      // end is proven.
      const line = () => served.log.find(({ msg }) => msg.includes('adopted after'))
      await eventually('it is logged', () => line() !== undefined)
      const { processes } = line() as unknown as { processes: unknown[] }
      assert.ok(processes.length > 0)
      assert.deepEqual(served.witness.heirs(), [])
      await assertClean(served)
    })
  }

  test('a job owns what libraries start in it', async (t) => {
    const guarded = await Guarded.start({ capture: true })
    t.after(() => guarded.close())
    await guarded.guard.run({}, async () => {
      guarded.runApart('own-group.sh')
      await guarded.witness.present(3)
    })
    assert.deepEqual(guarded.witness.living(), [])
    await assertGone(guarded)
  })

  test('nothing is captured once the guard is closed', async (t) => {
    const guarded = await Guarded.start({ capture: true })
    t.after(() => guarded.close())
    let later = (): void => {}
    const done = guarded.guard.run({}, async () => {
      later = () => void guarded.runApart('waits.sh')
    })
    await done
    await guarded.guard.close()
    later()
    await guarded.witness.present(1)
    assert.equal(guarded.witness.living().length, 1)
  })
})

suite('without capture', { concurrency: true }, () => {
  for (const [name, library] of Object.entries(libraries)) {
    test(`what ${name} starts is left running`, async (t) => {
      const served = await serveLibrary(t, library, false)
      const asked = ask(served.port, '/hang')
      await served.witness.present(2)
      asked.leave()
      await assertLeft(served, 2)
    })
  }
})
