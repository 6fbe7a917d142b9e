/** Hooks run in a process of their own: whatever they do, the keeper is not affected. */

import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, suite, type TestContext, test } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { Worker } from 'node:worker_threads'
import type * as HooksModule from '../lib/keeper/hook-modules.js'
import type * as HookProcess from '../lib/keeper/run-hook-process.js'
import { compiled, keeperFile } from './harness/compiled.js'
import { assertGone } from './harness/expectations.js'
import { childrenOf } from './harness/proc.js'
import { Witness } from './harness/witness.js'
import { info } from './harness/worker-info.js'

// Import the compiled files themselves, which the package does not export.
const { HookModules }: typeof HooksModule = await compiled('keeper/hook-modules')
const { runHookProcess }: typeof HookProcess = await compiled('keeper/run-hook-process')
const programs = new URL('../../test/programs/hooks/', import.meta.url)
const urlOf = (program: string): string => new URL(program, programs).href
const harness = (name: string): string => fileURLToPath(new URL(`./harness/${name}.js`, import.meta.url))

// Far more than a trivial hook needs on a busy machine.
const enoughMs = 20_000
const shortMs = 1_000
// Enough for a process to start on a busy machine.
const startedMs = 5_000

const folder = mkdtempSync(join(tmpdir(), 'hooks-test-'))
// The hook programs write their result to this path.
const resultPath = join(folder, 'told')
process.env.TOLD = resultPath
process.env.GIVEN = 'by the worker'
after(() => rmSync(folder, { recursive: true }))

/** The order to run the `workerExit` of one module, without checking the module first. */
function orderOf(program: string): HookProcess.HookRequest {
  return { type: 'run', hook: 'workerExit', info, url: urlOf(program) }
}

/** Runs the `workerExit` of one module. Resolves with why it failed; undefined if it did not. */
async function whyOf(program: string, hookMs = enoughMs): Promise<string | undefined> {
  const hooks = new HookModules(keeperFile, hookMs)
  await hooks.add(urlOf(program))
  const [failure, ...others] = await hooks.run('workerExit', info)
  assert.deepEqual(others, [])
  if (failure !== undefined) assert.equal(failure.hook, 'workerExit')
  assert.deepEqual(childrenOf(process.pid), [], 'a process is left')
  return failure?.why
}

suite('a hook', () => {
  test('gets the worker info, and runs in another process with the environment of the keeper', async (t) => {
    process.env.SUBPROCESS_GUARD_KEEPER = 'mark'
    t.after(() => delete process.env.SUBPROCESS_GUARD_KEEPER)
    const hooks = new HookModules(keeperFile, enoughMs)
    await hooks.add(urlOf('tells.mjs'))
    for (const hook of ['workerAbort', 'workerExit'] as const) {
      assert.deepEqual(await hooks.run(hook, info), [])
      const { around, ...given } = JSON.parse(readFileSync(resultPath, 'utf8'))
      assert.deepEqual(given, { hook, info })
      const { pid, ...rest } = around
      assert.notEqual(pid, process.pid)
      // It has no keeper mark, so that a search for keepers does not find it.
      assert.deepEqual(rest, { cwd: process.cwd(), given: 'by the worker' })
    }
  })

  test('is awaited', async () => {
    rmSync(resultPath, { force: true })
    assert.equal(await whyOf('slow.mjs'), undefined)
    assert.equal(readFileSync(resultPath, 'utf8'), 'done')
  })

  test('may be exported by a CommonJS module, as a method', async () => {
    rmSync(resultPath, { force: true })
    assert.equal(await whyOf('commonjs.cjs'), undefined)
    assert.equal(readFileSync(resultPath, 'utf8'), 'commonjs')
  })

  test('may leave timers and servers open', async () => {
    assert.equal(await whyOf('misbehaves.mjs?how=leaves-open'), undefined)
  })

  for (const [how, why] of [
    ['throws', /TypeError: no such pager[\s\S]*cause[\s\S]*no such user/],
    ['rejects', /Error: no such pager\n\s+at /],
    ['rejects-elsewhere', /Error: no such pager\n\s+at /],
    ['throws-elsewhere', /Error: no such pager\n\s+at /],
    ['exits', /^its process exited with code 3 before it was done$/],
    ['ends-itself', /^its process was ended by SIGKILL before/],
    ['waits-for-nothing', /^its promise can never settle/],
    [
      'exhausts-heap',
      /^its process was ended by SIG\w+ before it was done \(possibly for using more than 64 MB/
    ],
    [
      'hoards-objects',
      /^its process was ended by SIG\w+ before it was done \(possibly for using more than 64 MB/
    ]
  ] as const) {
    test(`that ${how.replace('-', ' ')} is reported with the reason`, async () => {
      const answer = await runHookProcess(keeperFile, orderOf(`misbehaves.mjs?how=${how}`), enoughMs)
      assert.match(answer.type === 'failed' ? answer.why : 'it did not fail', why)
      assert.deepEqual(childrenOf(process.pid), [], 'a process is left')
    })
  }

  for (const how of ['loops', 'waits-for-ever']) {
    test(`that ${how.replaceAll('-', ' ')} is ended at its time limit, without blocking the keeper`, async () => {
      let turns = 0
      const ticking = setInterval(() => turns++, 10)
      // Not through `HookModules`, which would first load the module within the same time limit.
      const order = {
        type: 'run',
        hook: 'workerExit',
        info,
        url: urlOf(`misbehaves.mjs?how=${how}`)
      } as const
      const answer = await runHookProcess(keeperFile, order, shortMs)
      clearInterval(ticking)
      assert.deepEqual(answer, { type: 'failed', why: `it did not end within ${shortMs} ms` })
      assert.deepEqual(childrenOf(process.pid), [], 'a process is left')
      assert.ok(turns > 20, `the loop turned ${turns} times`)
    })
  }

  test('that loops would block the thread that runs it (negative control)', async () => {
    // A thread stands in for that of the keeper.
    const run = `import(${JSON.stringify(urlOf('misbehaves.mjs?how=loops'))}).then(({ workerExit }) => {
      require('node:worker_threads').parentPort.postMessage('started')
      setImmediate(() => require('node:worker_threads').parentPort.postMessage('turned'))
      workerExit()
    })`
    const messages: unknown[] = []
    const keeper = new Worker(run, { eval: true }).on('message', (message) => messages.push(message))
    while (messages.length === 0) await once(keeper, 'message')
    await new Promise((resolve) => setTimeout(resolve, 300))
    await keeper.terminate()
    assert.deepEqual(messages, ['started'])
  })

  test('that exhausts its heap would end the process whose thread runs it (negative control)', async (t) => {
    const run = `new (require('node:worker_threads').Worker)(
      'const hoard = []; for (;;) hoard.push(new Array(10_000_000).fill(1))',
      { eval: true, resourceLimits: { maxOldGenerationSizeMb: 64 } }).on('error', ({ code }) => console.log(code))`
    const keeper = spawn(process.execPath, ['-e', run], { stdio: ['ignore', 'pipe', 'ignore'], cwd: folder })
    const [output, [, signal]] = await Promise.all([text(keeper.stdout), once(keeper, 'exit')])
    if (output === 'ERR_WORKER_OUT_OF_MEMORY\n')
      return t.skip('this Node ends only the thread, as 26.10 does')
    assert.notEqual(signal, null)
  })
})

suite('the output of a hook', () => {
  test('is complete', async () => {
    const keeper = spawn(process.execPath, [
      harness('chats-main'),
      urlOf('misbehaves.mjs?how=chats'),
      '20000'
    ])
    const [out, error] = await Promise.all([text(keeper.stdout), text(keeper.stderr)])
    assert.equal(out.split('\n').length - 1, 20_000)
    assert.match(error, /^done\n\{"failures":\[\]/)
  })

  test('blocks the hook but not the keeper, if nobody reads it', async () => {
    const chats = [harness('chats-main'), urlOf('misbehaves.mjs?how=chats'), String(startedMs)]
    const keeper = spawn(process.execPath, chats)
    const { failures, turns } = JSON.parse((await text(keeper.stderr)).replace('done\n', ''))
    assert.equal(failures[0].why, `it did not end within ${startedMs} ms`)
    assert.ok(turns > 20, `the loop turned ${turns} times`)
    keeper.stdout.destroy()
  })
})

suite('what a hook starts', () => {
  const run = async (what: string, env = process.env) =>
    JSON.parse((await promisify(execFile)(process.execPath, [harness('hooks-main'), what], { env })).stdout)

  test('can be awaited by the hook, and is not taken for an orphan by a census that scans all the time', async () => {
    assert.deepEqual(await run(urlOf('starts.mjs?how=and-waits')), { failures: [], found: [] })
    const statuses: unknown[] = []
    for (let status = 0; status < 20; status++) {
      statuses.push([status, 100_000])
      if (status > 0) statuses.push(status)
    }
    assert.deepEqual(JSON.parse(readFileSync(resultPath, 'utf8')), statuses)
  })

  test('would be taken for an orphan if the census did not know the hook (negative control)', async () => {
    assert.equal((await run('a plain child')).found.length, 1)
  })

  test('and does not await may still finish within the time limit', async () => {
    rmSync(resultPath, { force: true })
    assert.equal(await whyOf('starts.mjs?how=and-forgets'), undefined)
    assert.equal(readFileSync(resultPath, 'utf8'), 'late')
  })

  test('ends with a hook that hangs', async (t) => {
    const witness = witnessed(t)
    const why = await whyOf('starts.mjs?how=and-hangs', startedMs)
    assert.equal(why, `it did not end within ${startedMs} ms`)
    await witness.present(1)
    await assertGone({ witness })
  })

  test('and leaves as a daemon is found by the census', async (t) => {
    const witness = witnessed(t)
    const { found } = await run(urlOf('starts.mjs?how=and-leaves-a-daemon'), witness.env)
    const [daemon] = await witness.present(1)
    assert.deepEqual(found, [daemon?.pid])
  })
})

function witnessed(t: TestContext): Witness {
  const witness = new Witness()
  process.env.WITNESS = witness.env.WITNESS
  t.after(() => {
    delete process.env.WITNESS
    witness.close()
  })
  return witness
}

suite('a hook module', () => {
  for (const [program, why] of [
    ['missing.mjs', /missing\.mjs has no usable hooks: it cannot be loaded: [\s\S]*ERR_MODULE_NOT_FOUND/],
    ['no-hooks.mjs', /it exports neither workerAbort nor workerExit$/],
    ['no-function.mjs', /its workerAbort is 'workerAbort' and not a function$/],
    ['loads-for-ever.mjs', /it did not end within 5000 ms$/]
  ] as const) {
    test(`is rejected: ${program}`, async () => {
      const hooks = new HookModules(keeperFile, startedMs)
      await assert.rejects(hooks.add(urlOf(program)), why)
      assert.deepEqual([hooks.has('workerAbort'), hooks.has('workerExit')], [false, false])
    })
  }

  test('is rejected: a file that is no JavaScript', async () => {
    const path = join(folder, 'syntax-error.mjs')
    writeFileSync(path, 'export function workerExit( {')
    const hooks = new HookModules(keeperFile, enoughMs)
    await assert.rejects(hooks.add(pathToFileURL(path).href), /it cannot be loaded: [\s\S]*SyntaxError/)
  })

  test('stays registered until it is removed as often as it was added', async () => {
    const hooks = new HookModules(keeperFile, enoughMs)
    const url = urlOf('aborts-only.mjs')
    await Promise.all([hooks.add(url), hooks.add(url)])
    assert.deepEqual([hooks.has('workerAbort'), hooks.has('workerExit')], [true, false])
    assert.deepEqual(await hooks.run('workerExit', info), [])
    hooks.remove(url)
    assert.equal(hooks.has('workerAbort'), true)
    hooks.remove(url)
    assert.equal(hooks.has('workerAbort'), false)
  })

  test('runs even if another one hangs', async () => {
    rmSync(resultPath, { force: true })
    const hooks = new HookModules(keeperFile, startedMs)
    const [hangs, runs] = [urlOf('misbehaves.mjs?how=waits-for-ever'), urlOf('slow.mjs')]
    await hooks.add(hangs)
    await hooks.add(runs)
    const failures = await hooks.run('workerExit', info)
    assert.deepEqual(failures, [
      { url: hangs, hook: 'workerExit', why: `it did not end within ${startedMs} ms` }
    ])
    assert.equal(readFileSync(resultPath, 'utf8'), 'done')
  })
})
