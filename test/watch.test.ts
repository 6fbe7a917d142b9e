/** The thread that watches: it tells where the main thread hangs, and leaves it as it was. */

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

const watcher = new URL('../../dist/watch/watch-thread.js', import.meta.url).href

async function watched(t: TestContext, setup?: WatchedSetup): Promise<Watched> {
  const worker = await Watched.start(setup)
  t.after(() => worker.close())
  return worker
}

/** One worker for most tests: each leaves it as it was. */
let sharedWorker: Watched
const shared = (): Watched => sharedWorker
before(async () => {
  sharedWorker = await Watched.start()
})
// Even after a failure, so that the next test does not find the worker blocked.
afterEach(() => sharedWorker.release())
after(() => sharedWorker.close())

/** For a thread that runs JavaScript: on a busy machine it may have to wait for a processor before it answers. */
const patient = { withinMs: patienceMs }

/** Asserts that nothing of the look is left: what was blocked ends, and the worker serves. */
async function assertGoesOn(worker: Watched, answer: Promise<{ body: string }>): Promise<void> {
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
    test(`is told with its stack and its route, and goes on: ${kind}, ${block}`, async () => {
      const worker = shared()
      const { answer } = await worker.block(kind, block)
      const where = await worker.door.where(patient)
      assert.equal(where.type, 'stack', JSON.stringify(where))
      assert.match(where.stack, frame)
      assert.equal(where.route, route)
      await assertGoesOn(worker, answer)
    })
  }

  test('is told as often as it is asked', async () => {
    const worker = shared()
    const { answer } = await worker.block('fastify-sync', 'sync')
    for (let times = 0; times < 3; times++) assert.equal((await worker.door.where(patient)).type, 'stack')
    for (const { type } of await worker.door.wheres(3, patient)) assert.equal(type, 'stack')
    await assertGoesOn(worker, answer)
  })

  test('cannot tell it itself: the negative control', async (t) => {
    const worker = await watched(t, { answerer: 'main-thread' })
    assert.equal((await worker.door.where(patient)).type, 'stack')
    const { answer } = await worker.block('fastify-sync', 'sync')
    const where = worker.door.where(patient)
    assert.equal(await Promise.race([where, pause(1_000, 'silence')]), 'silence')
    await assertGoesOn(worker, answer)
    assert.equal((await where).type, 'stack')
  })
})

suite('a main thread that runs no JavaScript', () => {
  test('is told with the command that it waits for, and goes on', async () => {
    const worker = shared()
    const { answer } = await worker.block('fastify-sync', 'command')
    await eventually('the command runs', () => childrenOf(worker.pid).length === 1)
    const where = await worker.door.where()
    assert.equal(where.type, 'unknown', JSON.stringify(where))
    const pid = Number(/^the main thread runs no JavaScript: .* (\d+) sleep 1000$/.exec(where.why)?.[1])
    assert.deepEqual(childrenOf(worker.pid), [pid], where.why)
    process.kill(pid)
    await assertGoesOn(worker, answer)
  })

  test('is told to compute, and goes on', async () => {
    const worker = shared()
    const { answer } = await worker.block('fastify-sync', 'native')
    // Before it computes it runs some JavaScript of Node's own, which takes no such processor time.
    const before = statOf(worker.pid)?.cpuTicks as number
    await eventually('it computes', () => (statOf(worker.pid)?.cpuTicks as number) >= before + 10)
    const where = await worker.door.where({ withinMs: 50 })
    assert.deepEqual(where, {
      type: 'unknown',
      why: 'the main thread runs no JavaScript: it computes in native code'
    })
    await assertGoesOn(worker, answer)
  })

  test('is not stopped later by what it was asked in vain', async () => {
    const worker = shared()
    const { answer } = await worker.block('fastify-sync', 'command')
    await eventually('the command runs', () => childrenOf(worker.pid).length === 1)
    for (let times = 0; times < 5; times++) {
      assert.equal((await worker.door.where({ withinMs: 20 })).type, 'unknown')
    }
    process.kill(childrenOf(worker.pid)[0] as number)
    await assertGoesOn(worker, answer)
  })
})

suite('a main thread that runs JavaScript now and then', () => {
  test('goes on, whatever it was at when it was asked', async () => {
    const worker = shared()
    const { answer } = await worker.block('fastify-sync', 'commands')
    const answers = new Set<string>()
    for (let times = 0; times < 50; times++) answers.add((await worker.door.where({ withinMs: 1 })).type)
    assert.ok(!answers.has('paused'))
    await assertGoesOn(worker, answer)
  })
})

suite('a main thread that waits for events', () => {
  test('is not said to hang anywhere, and goes on', async (t) => {
    // One that has done nothing yet: timers that requests have left would wake the thread while it is asked.
    const worker = await watched(t)
    const where = await worker.door.where()
    assert.equal(where.type, 'unknown', JSON.stringify(where))
    assert.match(where.why, /^the main thread did not pause for a stack sample within 2000 ms: it /)
    assert.ok(await worker.serves())
  })

  test('goes on when it is asked all the time', async () => {
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
  async function debugged(t: TestContext): Promise<{ worker: Watched; debugging: Debugging }> {
    const worker = await watched(t, { nodeFlags: ['--inspect=0'] })
    const debugging = await Debugging.attach(worker)
    t.after(() => debugging.close())
    return { worker, debugging }
  }

  async function assertHeld({ worker, debugging }: Awaited<ReturnType<typeof debugged>>): Promise<void> {
    for (let times = 0; times < 3; times++) assert.deepEqual(await worker.door.where(), { type: 'paused' })
    assert.equal(debugging.isPaused, true)
    // It can still be looked at: nobody has let it go.
    assert.equal(await debugging.evaluateInFrame('6 * 7'), 42)
  }

  test('is held by it at a statement', async (t) => {
    const both = await debugged(t)
    const { answer } = await both.worker.block('fastify-sync', 'one-debugger-statement')
    await both.debugging.paused()
    await assertHeld(both)
    await both.debugging.send('Debugger.resume')
    assert.equal((await answer).body, 'done')
    assert.ok(await both.worker.serves())
  })

  test('is held by it at a breakpoint', async (t) => {
    const both = await debugged(t)
    const lineNumber = lineOf('function isReleased') + 1
    const urlRegex = 'watched-main\\.js$'
    await both.debugging.send('Debugger.setBreakpointByUrl', { urlRegex, lineNumber })
    const { answer } = await both.worker.block('fastify-sync', 'sync')
    await both.debugging.paused()
    await assertHeld(both)
    await both.debugging.send('Debugger.setBreakpointsActive', { active: false })
    await both.debugging.send('Debugger.resume')
    both.worker.release()
    assert.equal((await answer).body, 'done')
  })

  test('is held by it since its user paused a loop', async (t) => {
    const both = await debugged(t)
    const { answer } = await both.worker.block('fastify-sync', 'sync')
    await both.debugging.send('Debugger.pause')
    await both.debugging.paused()
    await assertHeld(both)
    await both.debugging.send('Debugger.resume')
    both.worker.release()
    assert.equal((await answer).body, 'done')
  })

  test('hangs by itself while the debugger only looks on', async (t) => {
    const { worker, debugging } = await debugged(t)
    const { answer } = await worker.block('fastify-sync', 'sync')
    const where = await worker.door.where(patient)
    assert.equal(where.type, 'stack', JSON.stringify(where))
    assert.equal(where.route, 'GET /fastify-sync/:block')
    await eventually('it goes on', () => !debugging.isPaused)
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

suite('the thread', () => {
  test('attends to the next keeper when one is gone', async (t) => {
    const worker = await watched(t)
    worker.door.close()
    const next = new Door(worker.door.path)
    t.after(() => next.close())
    worker.process.kill('SIGHUP')
    await eventually('it is at the next door', () => next.connections.length > 0)
    const { answer } = await worker.block('fastify-sync', 'sync')
    assert.equal((await next.where(patient)).type, 'stack')
    await assertGoesOn(worker, answer)
  })

  test('survives garbage, and ends that connection', async (t) => {
    const worker = await watched(t)
    const [socket] = worker.door.connections
    socket?.write('{"type":"what"}\n')
    const { answer } = await worker.block('fastify-sync', 'sync')
    assert.equal((await worker.door.where(patient)).type, 'stack')
    socket?.write('no JSON\n')
    await eventually('the connection is closed', () => socket?.closed === true)
    await assertGoesOn(worker, answer)
  })

  test('ends when it is stopped, which is no failure', async (t) => {
    const worker = await watched(t)
    const threads = () =>
      Number(/Threads:\s+(\d+)/.exec(readFileSync(`/proc/${worker.pid}/status`, 'utf8'))?.[1])
    const before = threads()
    worker.process.kill('SIGUSR2')
    await eventually('it has gone', () => threads() < before && worker.door.connections[0]?.closed === true)
    assert.ok(await worker.serves())
    assert.deepEqual(worker.said('unwatched'), [])
  })

  test('is no reason for a process to stay', () => {
    const { status, stderr } = run([], `WatchThread.start(${file}, (why) => { throw new Error(why) })`)
    assert.equal(status, 0, stderr)
  })
})

// As text for a program.
const file = JSON.stringify(keeperFile)

/** Runs a program that has `WatchThread`, under Node with these flags. */
function run(
  flags: readonly string[],
  program: string
): { status: number | null; stdout: string; stderr: string } {
  const text = `import { WatchThread } from ${JSON.stringify(watcher)}\n${program}`
  const args = [...flags, '--input-type=module', '--eval', text]
  return spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 30_000 })
}

suite('a thread that cannot be had', () => {
  const permission = [nodeMajor === 20 ? '--experimental-permission' : '--permission', '--allow-fs-read=*']
  const tell = `const watcher = WatchThread.start(${file}, (why) => console.log(why, watcher.failed === why))
    watcher.connect('/nowhere', 'header')
    watcher.stop()`

  test('is told: the permission model forbids the inspector', () => {
    for (const flags of [permission, [...permission, '--allow-worker']]) {
      const { status, stdout, stderr } = run(flags, tell)
      assert.match(stdout, /^the permission model forbids the inspector: .* true\n$/, stderr)
      assert.equal(status, 0, stderr)
    }
  })

  const skip = nodeMajor < 24 ? 'Node has --allow-inspector since version 24' : false
  test('is told: the permission model forbids threads', { skip }, () => {
    const { status, stdout, stderr } = run([...permission, '--allow-inspector'], tell)
    assert.match(stdout, /^no thread could be started: .*--allow-worker.* true\n$/, stderr)
    assert.equal(status, 0, stderr)
  })

  test('is told: the guard runs in a thread itself', () => {
    const inThread = `import { Worker, isMainThread } from 'node:worker_threads'
      if (isMainThread) new Worker(new URL('data:text/javascript,' + encodeURIComponent(${JSON.stringify(
        `import { WatchThread } from ${JSON.stringify(watcher)}\nWatchThread.start(${file}, (why) => console.log(why))`
      )})))`
    const { status, stdout, stderr } = run([], inThread)
    assert.equal(stdout, 'the guard runs in a worker thread\n', stderr)
    assert.equal(status, 0)
  })

  test('is told: it has ended', () => {
    // A header that cannot be written: what fails in the thread ends the thread alone.
    const program = `WatchThread.start(${file}, (why) => process.exit(console.log(why))).connect('/nowhere', 1)
      setTimeout(() => {}, 20_000)`
    const { status, stdout, stderr } = run([], program)
    assert.match(stdout, /^the thread failed: .*\n$/, stderr)
    assert.equal(status, 0)
  })
})
