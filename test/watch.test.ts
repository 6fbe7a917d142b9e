/** The watch thread reports where the main thread hangs, and leaves it undisturbed. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { after, afterEach, before, suite, type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { keeperFile } from './harness/compiled.js'
import { Debugging } from './harness/debugging.js'
import { eventually } from './harness/expectations.js'
import { nodeMajor } from './harness/node-major.js'
import { patienceMs } from './harness/patience.js'
import { childrenOf, statOf } from './harness/proc.js'
import { Door, type Kind, Watched, type WatchedSetup } from './harness/watched.js'

const watchThreadUrl = new URL('../../dist/watch/watch-thread.js', import.meta.url).href

async function startWatched(t: TestContext, setup?: WatchedSetup): Promise<Watched> {
  const worker = await Watched.start(setup)
  t.after(() => worker.close())
  return worker
}

/** One worker for most tests: each of them leaves it undisturbed. */
let sharedWorker: Watched
const shared = (): Watched => sharedWorker
before(async () => {
  sharedWorker = await Watched.start()
})
// Even after a failure, so that the next test does not find the worker blocked.
afterEach(() => sharedWorker.release())
after(() => sharedWorker.close())

/** For a thread that runs JavaScript: on a busy machine it may wait for a processor before it answers. */
const patient = { withinMs: patienceMs }

/**
 * Asserts that sampling the stack has left no trace: the blocked request is answered, and the worker serves.
 */
async function assertContinues(worker: Watched, answer: Promise<{ body: string }>): Promise<void> {
  worker.release()
  assert.equal((await answer).body, 'done')
  assert.ok(await worker.serves())
  assert.equal(worker.errors, '')
}

suite('a main thread that hangs in JavaScript', () => {
  const cases: [kind: Kind, block: string, frame: RegExp, route: string | undefined][] = [
    ['fastify-sync', 'sync', /at loop \(file:.*watched-main\.js:\d+:\d+\)/, 'GET /fastify-sync/:block'],
    ['fastify-async', 'sync', /at loop /, 'GET /fastify-async/:block'],
    ['fastify-async', 'async', /at loop /, 'GET /fastify-async/:block'],
    ['fastify-async', 'callback', /at loop /, 'GET /fastify-async/:block'],
    ['fastify-sync', 'below', /at loop .*\n(.*at loopDeepBelow .*\n){21}/, 'GET /fastify-sync/:block'],
    ['fastify-sync', 'deep', /at loop .*[\s\S]*and 2\d\d frames more$/, 'GET /fastify-sync/:block'],
    ['fastify-sync', 'regex', /at regex /, 'GET /fastify-sync/:block'],
    ['fastify-sync', 'atomics-wait', /at atomics-wait /, 'GET /fastify-sync/:block'],
    ['fastify-sync', 'debugger-statement', /at debugger-statement /, 'GET /fastify-sync/:block'],
    ['express', 'sync', /at loop /, 'GET /express/:block'],
    ['express', 'async', /at loop /, 'GET /express/:block'],
    ['http', 'sync', /at loop /, 'GET of node:http'],
    ['http', 'async', /at loop /, 'GET of node:http']
  ]
  for (const [kind, block, frame, route] of cases) {
    test(`is reported with its stack and its route, and continues: ${kind}, ${block}`, async () => {
      const worker = shared()
      const { answer } = await worker.block(kind, block)
      const where = await worker.door.where(patient)
      assert.equal(where.type, 'stack', JSON.stringify(where))
      assert.match(where.stack, frame)
      assert.equal(where.route, route)
      await assertContinues(worker, answer)
    })
  }

  test('is reported each time it is asked for', async () => {
    const worker = shared()
    const { answer } = await worker.block('fastify-sync', 'sync')
    for (let times = 0; times < 3; times++) assert.equal((await worker.door.where(patient)).type, 'stack')
    for (const { type } of await worker.door.wheres(3, patient)) assert.equal(type, 'stack')
    await assertContinues(worker, answer)
  })

  test('cannot answer by itself: the negative control', async (t) => {
    const worker = await startWatched(t, { answerer: 'main-thread' })
    assert.equal((await worker.door.where(patient)).type, 'stack')
    const { answer } = await worker.block('fastify-sync', 'sync')
    const where = worker.door.where(patient)
    assert.equal(await Promise.race([where, pause(1_000, 'silence')]), 'silence')
    await assertContinues(worker, answer)
    assert.equal((await where).type, 'stack')
  })
})

suite('a main thread that runs no JavaScript', () => {
  test('is reported with the command that it waits for, and continues', async () => {
    const worker = shared()
    const { answer } = await worker.block('fastify-sync', 'command')
    await eventually('the command runs', () => childrenOf(worker.pid).length === 1)
    const where = await worker.door.where()
    assert.equal(where.type, 'unknown', JSON.stringify(where))
    const pid = Number(/^the main thread runs no JavaScript: .* (\d+) sleep 1000$/.exec(where.why)?.[1])
    assert.deepEqual(childrenOf(worker.pid), [pid], where.why)
    process.kill(pid)
    await assertContinues(worker, answer)
  })

  test('is reported as computing, and continues', async () => {
    const worker = shared()
    const { answer } = await worker.block('fastify-sync', 'native')
    // Before that, it runs some JavaScript of Node, which takes less processor time.
    const before = statOf(worker.pid)?.cpuTicks as number
    await eventually(
      'the main thread computes',
      () => (statOf(worker.pid)?.cpuTicks as number) >= before + 10
    )
    const where = await worker.door.where({ withinMs: 50 })
    assert.deepEqual(where, {
      type: 'unknown',
      why: 'the main thread runs no JavaScript: it computes in native code'
    })
    await assertContinues(worker, answer)
  })

  test('is not paused later by requests that got no answer', async () => {
    const worker = shared()
    const { answer } = await worker.block('fastify-sync', 'command')
    await eventually('the command runs', () => childrenOf(worker.pid).length === 1)
    for (let times = 0; times < 5; times++) {
      assert.equal((await worker.door.where({ withinMs: 20 })).type, 'unknown')
    }
    process.kill(childrenOf(worker.pid)[0] as number)
    await assertContinues(worker, answer)
  })
})

suite('a main thread that runs JavaScript in between', () => {
  test('continues, whatever it was doing when it was asked', async () => {
    const worker = shared()
    const { answer } = await worker.block('fastify-sync', 'commands')
    const answers = new Set<string>()
    for (let times = 0; times < 50; times++) answers.add((await worker.door.where({ withinMs: 1 })).type)
    assert.ok(!answers.has('paused'))
    await assertContinues(worker, answer)
  })
})

suite('a main thread that waits for events', () => {
  test('is not reported as hanging, and continues', async (t) => {
    // A new worker: timers that earlier requests have left would wake the thread while it is asked.
    const worker = await startWatched(t)
    const where = await worker.door.where()
    assert.equal(where.type, 'unknown', JSON.stringify(where))
    assert.match(where.why, /^the main thread did not pause for a stack sample within 2000 ms: it /)
    assert.ok(await worker.serves())
  })

  test('still serves when it is asked continually', async () => {
    const worker = shared()
    let isAsking = true
    const asking = (async () => {
      let answers = 0
      for (; isAsking; answers++) await worker.door.where()
      return answers
    })()
    for (let times = 0; times < 50; times++) assert.ok(await worker.serves())
    isAsking = false
    assert.ok((await asking) > 0)
    assert.ok(await worker.serves())
  })
})

suite('a main thread with a debugger', () => {
  async function startDebugged(t: TestContext): Promise<{ worker: Watched; debugging: Debugging }> {
    const worker = await startWatched(t, { nodeFlags: ['--inspect=0'] })
    const debugging = await Debugging.attach(worker)
    t.after(() => debugging.close())
    return { worker, debugging }
  }

  async function assertPaused({
    worker,
    debugging
  }: Awaited<ReturnType<typeof startDebugged>>): Promise<void> {
    for (let times = 0; times < 3; times++) assert.deepEqual(await worker.door.where(), { type: 'paused' })
    assert.equal(debugging.isPaused, true)
    // The debugger can still inspect it: nothing has resumed it.
    assert.equal(await debugging.evaluateInFrame('6 * 7'), 42)
  }

  test('is reported as paused at a debugger statement', async (t) => {
    const both = await startDebugged(t)
    const { answer } = await both.worker.block('fastify-sync', 'one-debugger-statement')
    await both.debugging.paused()
    await assertPaused(both)
    await both.debugging.send('Debugger.resume')
    assert.equal((await answer).body, 'done')
    assert.ok(await both.worker.serves())
  })

  test('is reported as paused at a breakpoint', async (t) => {
    const both = await startDebugged(t)
    const lineNumber = lineOf('function isReleased') + 1
    const urlRegex = 'watched-main\\.js$'
    await both.debugging.send('Debugger.setBreakpointByUrl', { urlRegex, lineNumber })
    const { answer } = await both.worker.block('fastify-sync', 'sync')
    await both.debugging.paused()
    await assertPaused(both)
    await both.debugging.send('Debugger.setBreakpointsActive', { active: false })
    await both.debugging.send('Debugger.resume')
    both.worker.release()
    assert.equal((await answer).body, 'done')
  })

  test('is reported as paused when the user has paused a loop', async (t) => {
    const both = await startDebugged(t)
    const { answer } = await both.worker.block('fastify-sync', 'sync')
    await both.debugging.send('Debugger.pause')
    await both.debugging.paused()
    await assertPaused(both)
    await both.debugging.send('Debugger.resume')
    both.worker.release()
    assert.equal((await answer).body, 'done')
  })

  test('is reported as hanging when the debugger has not paused it', async (t) => {
    const { worker, debugging } = await startDebugged(t)
    const { answer } = await worker.block('fastify-sync', 'sync')
    const where = await worker.door.where(patient)
    assert.equal(where.type, 'stack', JSON.stringify(where))
    assert.equal(where.route, 'GET /fastify-sync/:block')
    await eventually('the main thread continues', () => !debugging.isPaused)
    worker.release()
    assert.equal((await answer).body, 'done')
    assert.ok(await worker.serves())
  })
})

function lineOf(text: string): number {
  const program = new URL('./harness/watched-main.js', import.meta.url)
  return readFileSync(program, 'utf8')
    .split('\n')
    .findIndex((line) => line.startsWith(text))
}

suite('the watch thread', () => {
  test('connects to the next keeper when one is gone', async (t) => {
    const worker = await startWatched(t)
    worker.door.close()
    const next = new Door(worker.door.path)
    t.after(() => next.close())
    worker.process.kill('SIGHUP')
    await eventually('the thread has connected', () => next.connections.length > 0)
    const { answer } = await worker.block('fastify-sync', 'sync')
    assert.equal((await next.where(patient)).type, 'stack')
    await assertContinues(worker, answer)
  })

  test('survives garbage and closes that connection', async (t) => {
    const worker = await startWatched(t)
    const [socket] = worker.door.connections
    socket?.write('{"type":"what"}\n')
    const { answer } = await worker.block('fastify-sync', 'sync')
    assert.equal((await worker.door.where(patient)).type, 'stack')
    socket?.write('no JSON\n')
    await eventually('the connection is closed', () => socket?.closed === true)
    await assertContinues(worker, answer)
  })

  test('ends without a failure when it is stopped', async (t) => {
    const worker = await startWatched(t)
    const threads = () =>
      Number(/Threads:\s+(\d+)/.exec(readFileSync(`/proc/${worker.pid}/status`, 'utf8'))?.[1])
    const before = threads()
    worker.process.kill('SIGUSR2')
    await eventually(
      'the thread has ended',
      () => threads() < before && worker.door.connections[0]?.closed === true
    )
    assert.ok(await worker.serves())
    assert.deepEqual(worker.said('unwatched'), [])
  })

  test('does not keep its process alive', () => {
    const { status, stderr } = run([], `WatchThread.start(${file}, (why) => { throw new Error(why) })`)
    assert.equal(status, 0, stderr)
  })
})

// As a string literal for the programs below.
const file = JSON.stringify(keeperFile)

/** Runs a program that can use `WatchThread`, under Node with these flags. */
function run(
  flags: readonly string[],
  program: string
): { status: number | null; stdout: string; stderr: string } {
  const text = `import { WatchThread } from ${JSON.stringify(watchThreadUrl)}\n${program}`
  const args = [...flags, '--input-type=module', '--eval', text]
  return spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 30_000 })
}

suite('the failure of the watch thread', () => {
  const permission = [nodeMajor === 20 ? '--experimental-permission' : '--permission', '--allow-fs-read=*']
  const startAndReport = `const watcher = WatchThread.start(${file}, (why) => console.log(why, watcher.failed === why))
    watcher.connect('/nowhere', 'header')
    watcher.stop()`

  test('is reported when the permission model forbids the inspector', () => {
    for (const flags of [permission, [...permission, '--allow-worker']]) {
      const { status, stdout, stderr } = run(flags, startAndReport)
      assert.match(stdout, /^the permission model forbids the inspector: .* true\n$/, stderr)
      assert.equal(status, 0, stderr)
    }
  })

  const skip = nodeMajor < 24 ? 'Node has --allow-inspector since version 24' : false
  test('is reported when the permission model forbids threads', { skip }, () => {
    const { status, stdout, stderr } = run([...permission, '--allow-inspector'], startAndReport)
    assert.match(stdout, /^no thread could be started: .*--allow-worker.* true\n$/, stderr)
    assert.equal(status, 0, stderr)
  })

  test('is reported when the guard itself runs in a worker thread', () => {
    const inThread = `import { Worker, isMainThread } from 'node:worker_threads'
      if (isMainThread) new Worker(new URL('data:text/javascript,' + encodeURIComponent(${JSON.stringify(
        `import { WatchThread } from ${JSON.stringify(watchThreadUrl)}\nWatchThread.start(${file}, (why) => console.log(why))`
      )})))`
    const { status, stdout, stderr } = run([], inThread)
    assert.equal(stdout, 'the guard runs in a worker thread\n', stderr)
    assert.equal(status, 0)
  })

  test('is reported when the thread throws', () => {
    // A number cannot be written as the header. The error in the thread ends only the thread.
    const program = `WatchThread.start(${file}, (why) => process.exit(console.log(why))).connect('/nowhere', 1)
      setTimeout(() => {}, 20_000)`
    const { status, stdout, stderr } = run([], program)
    assert.match(stdout, /^the thread failed: .*\n$/, stderr)
    assert.equal(status, 0)
  })
})
