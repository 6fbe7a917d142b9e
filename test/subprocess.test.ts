/**
 * The handle of one command: how it starts, its streams, its signals and its end (docs/faults.md, 25 to 27;
 * more of them in `launch.test.ts`).
 */

import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readlinkSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer, text } from 'node:stream/consumers'
import { finished } from 'node:stream/promises'
import { after, before, suite, type TestContext, test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Subprocess } from 'fastify-subprocess-guard'
import { ask } from './harness/client.js'
import { assertClean, assertGone, eventually } from './harness/expectations.js'
import { descriptorsOf } from './harness/proc.js'
import { type Served, serve } from './harness/server.js'

let served: Served
/** How many descriptors the idle keeper has open. */
let idleDescriptors: number
const folder = mkdtempSync(join(tmpdir(), 'subprocess-test-'))

before(async () => {
  served = await serve({}, () => {})
  idleDescriptors = await countIdleDescriptors()
})
after(async () => {
  await assertClean(served)
  await served.close()
  rmSync(folder, { recursive: true })
})

async function countIdleDescriptors(): Promise<number> {
  // The first launch opens descriptors that stay open.
  await served.inRequest((request) => closeOf(request.spawn('true')))
  await assertClean(served)
  const counts: number[] = []
  const isSteady = (): boolean => {
    counts.push(descriptorsOf(served.app.subprocessGuard.keeper))
    return counts.length > 10 && new Set(counts.slice(-10)).size === 1
  }
  await eventually('the number of descriptors is stable', isSteady)
  return counts.at(-1) as number
}

/** The events until `'close'` with their arguments, in order. */
async function eventsOf(subprocess: Subprocess): Promise<[string, ...unknown[]][]> {
  const events: [string, ...unknown[]][] = []
  for (const name of ['spawn', 'error', 'exit', 'close'] as const) {
    subprocess.on(name, (...args: unknown[]) => events.push([name, ...args]))
  }
  await closeOf(subprocess)
  return events
}

/**
 * Resolves at `'close'`. Unlike `once`, it adds no listener of `'error'`, which would change what is tested.
 */
function closeOf(subprocess: Subprocess): Promise<void> {
  return new Promise((resolve) => subprocess.once('close', () => resolve()))
}

suite('a command', () => {
  test('gets its input, and returns its output and exit status', async () => {
    await served.inRequest(async (request) => {
      const subprocess = request.spawn('sh', ['-c', 'cat; echo errors >&2; exit 3'])
      subprocess.stdin?.end('input')
      const events = eventsOf(subprocess)
      const [output, errors] = await Promise.all([
        text(subprocess.stdout as never),
        text(subprocess.stderr as never)
      ])
      assert.deepEqual({ output, errors }, { output: 'input', errors: 'errors\n' })
      assert.deepEqual(await events, [['spawn'], ['exit', 3, null], ['close', 3, null]])
      assert.equal(subprocess.exitCode, 3)
      assert.equal(subprocess.spawnfile, 'sh')
      assert.deepEqual(subprocess.spawnargs, ['sh', '-c', 'cat; echo errors >&2; exit 3'])
    })
  })

  test('passes through megabytes of binary data unchanged', async () => {
    const data = Buffer.alloc(8 * 1024 * 1024, Buffer.from(Array.from({ length: 251 }, (_, byte) => byte)))
    await served.inRequest(async (request) => {
      const subprocess = request.spawn('cat', [], { stdio: ['pipe', 'pipe', 'inherit'] })
      subprocess.stdin?.end(data)
      assert.ok((await buffer(subprocess.stdout as never)).equals(data))
    })
  })

  test('loses no output when the reader is slow', async () => {
    await served.inRequest(async (request) => {
      const subprocess = request.spawn('head', ['-c', '300000', '/dev/zero'], {
        stdio: ['ignore', 'pipe', 'inherit']
      })
      let bytes = 0
      for await (const chunk of subprocess.stdout as AsyncIterable<Buffer>) {
        bytes += chunk.length
        // The pauses are longer than the idle time after which a stream is ended that only a leftover process
        // still holds.
        if (bytes < 140_000) await new Promise((resolve) => setTimeout(resolve, 300))
      }
      assert.equal(bytes, 300_000)
    })
  })

  test('inherits the worker’s streams when asked to, and gets the given environment, directory and argv0', async () => {
    await served.inRequest(async (request) => {
      const subprocess = request.spawn('sleep', ['1000'], { stdio: ['ignore', 'inherit', 'inherit'] })
      await once(subprocess, 'spawn')
      for (const descriptor of [1, 2]) {
        assert.equal(
          readlinkSync(`/proc/${subprocess.pid}/fd/${descriptor}`),
          readlinkSync(`/proc/self/fd/${descriptor}`)
        )
      }
      assert.equal(readlinkSync(`/proc/${subprocess.pid}/fd/0`), '/dev/null')

      // busybox decides by its name which program it is.
      const script = 'echo "$0 $PWD $GIVEN $HOME"'
      const env = { GIVEN: 'given', PATH: process.env.PATH }
      const configured = request.spawn('sh', ['-c', script], { cwd: folder, env, argv0: 'named/sh' })
      assert.equal(await text(configured.stdout as never), `named/sh ${realpathSync(folder)} given \n`)
      assert.equal(configured.spawnargs[0], 'named/sh')
      const inherited = request.spawn('pwd', [], { shell: true })
      assert.equal(await text(inherited.stdout as never), `${process.cwd()}\n`)
      assert.deepEqual(inherited.spawnargs, ['/bin/sh', '-c', 'pwd'])
    })
  })

  test('runs as another user', {
    skip: process.getuid?.() !== 0 && 'only root may change users'
  }, async () => {
    await served.inRequest(async (request) => {
      const subprocess = request.spawn('sh', ['-c', 'id -u; id -g'], { uid: 65_534, gid: 65_534 })
      assert.equal(await text(subprocess.stdout as never), '65534\n65534\n')
    })
  })

  test('keeps the asynchronous context of its spawn in its events', async () => {
    const storage = new AsyncLocalStorage<string>()
    await served.inRequest(async (request) => {
      await storage.run('context', async () => {
        const subprocess = request.spawn('true')
        const seen = ['spawn', 'exit', 'close'].map(
          (name) =>
            new Promise((resolve) => subprocess.once(name as 'spawn', () => resolve(storage.getStore())))
        )
        assert.deepEqual(await Promise.all(seen), ['context', 'context', 'context'])
      })
    })
  })

  test('starts a hundred times concurrently, each with its own streams', async () => {
    await served.inRequest(async (request) => {
      const outputs = Array.from({ length: 100 }, async (_, index) => {
        const subprocess = request.spawn('cat', [], { stdio: ['pipe', 'pipe', 'inherit'] })
        subprocess.stdin?.end(`${index}`)
        return text(subprocess.stdout as never)
      })
      assert.deepEqual(await Promise.all(outputs), Array.from(outputs.keys(), String))
    })
  })
})

suite('a command that has ended', () => {
  // The only way to make the garbage collector available to a test.
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void

  test('is garbage-collected with its request', async () => {
    const handles: WeakRef<object>[] = []
    for (let i = 0; i < 10; i++) {
      await served.inRequest(async (request) => {
        const subprocess = request.spawn('true')
        handles.push(new WeakRef(subprocess))
        await closeOf(subprocess)
      })
    }
    // The last request is still referenced by the code that has just answered it.
    const heldHandles = (): number => handles.filter((handle) => handle.deref() !== undefined).length
    await eventually('the handles are collected', () => {
      collect()
      return heldHandles() <= 1
    })
  })
})

suite('a command that cannot be started', () => {
  // By its path: when a name is looked up, an unreadable directory in PATH would make the error EACCES.
  const missing = join(folder, 'no-such-command')
  const notExecutable = join(folder, 'not-executable')
  writeFileSync(notExecutable, '#!/bin/sh\n')
  chmodSync(notExecutable, 0o644)
  const failures = [
    ['is not found', missing, [], {}, 'ENOENT'],
    ['is not executable', notExecutable, [], {}, 'EACCES'],
    ['has a missing working directory', 'true', [], { cwd: join(folder, 'missing') }, 'ENOENT'],
    ['has too long an argument list', 'true', ['x'.repeat(4 * 1024 * 1024)], {}, 'E2BIG']
  ] as const

  for (const [problem, command, args, options, code] of failures) {
    test(`because it ${problem} emits 'error', and kill() sends no signal`, async () => {
      await served.inRequest(async (request) => {
        const subprocess = request.spawn(command, args, options)
        const [[name, error], ...rest] = (await eventsOf(subprocess)) as [[string, NodeJS.ErrnoException]]
        assert.equal(name, 'error')
        assert.equal(error.code, code)
        assert.match(error.syscall ?? '', /^spawn/)
        assert.equal(typeof error.errno, 'number')
        assert.deepEqual(rest, [['close', error.errno, null]])
        assert.equal(subprocess.pid, undefined)
        assert.equal(subprocess.kill(), false)
      })
    })
  }

  test('does not crash the server without an error listener, and is logged', async () => {
    const before = served.log.length
    await served.inRequest(async (request) => {
      const subprocess = request.spawn(missing)
      await closeOf(subprocess)
    })
    const line = served.log.slice(before).find(({ msg }) => msg.startsWith('a subprocess failed'))
    assert.equal(line?.command, missing)
    assert.match(JSON.stringify(line?.err), /ENOENT/)
  })

  test('without an error listener fails its output stream, which does not look like an empty success', async () => {
    await served.inRequest(async (request) => {
      const subprocess = request.spawn(missing)
      await assert.rejects(finished(subprocess.stdout as never), { code: 'ENOENT' })
    })
  })

  const skip = process.getuid?.() === 0 && 'root is exempt from RLIMIT_NPROC'
  test('because the keeper cannot create a process (EAGAIN) emits an error', { skip }, async (t) => {
    limit(t, 'nproc', 1)
    await served.inRequest(async (request) => {
      const [error] = await once(request.spawn('true'), 'error')
      assert.equal(error.code, 'EAGAIN')
    })
  })

  test('because the keeper is out of descriptors (EMFILE) emits an error', async (t) => {
    const { keeper } = served.app.subprocessGuard
    await eventually('the keeper is idle', () => descriptorsOf(keeper) === idleDescriptors)
    const restore = limit(t, 'nofile', idleDescriptors)
    await served.inRequest(async (request) => {
      const [error] = await once(request.spawn('true', [], { stdio: ['ignore', 'pipe', 'pipe'] }), 'error')
      assert.equal(error.code, 'EMFILE')
    })
    restore()
    await served.inRequest(async (request) => {
      assert.equal(await text(request.spawn('echo', ['again']).stdout as never), 'again\n')
    })
  })
})

/**
 * Sets a resource limit of the keeper. Returns a function that restores it; the end of the test does so too.
 */
function limit(t: TestContext, resource: 'nproc' | 'nofile', most: number): () => void {
  const prlimit = (...args: string[]): string =>
    execFileSync('prlimit', ['--pid', `${served.app.subprocessGuard.keeper}`, ...args], { encoding: 'utf8' })
  const soft = prlimit(`--${resource}`, '--noheadings', '--output=SOFT').trim()
  const restore = (): void => void prlimit(`--${resource}=${soft}:`)
  prlimit(`--${resource}=${most}:`)
  t.after(restore)
  return restore
}

suite('a command that is ended', () => {
  test('in the tick of its spawn emits spawn, and then exit with that signal', async () => {
    await served.inRequest(async (request) => {
      const subprocess = request.spawn('sleep', ['1000'])
      assert.equal(subprocess.kill('SIGTERM'), true)
      assert.equal(subprocess.killed, true)
      assert.deepEqual(await eventsOf(subprocess), [
        ['spawn'],
        ['exit', null, 'SIGTERM'],
        ['close', null, 'SIGTERM']
      ])
      assert.equal(subprocess.kill(), false)
    })
  })

  test('with its scope in the tick of its spawn is never started', async () => {
    await served.inRequest(async (request) => {
      const subprocess = request.spawn('sh', ['-c', 'exec sleep 1000'])
      const events = eventsOf(subprocess)
      const report = await request.subprocesses.close()
      assert.deepEqual(report.processes, [])
      const [[name, error]] = (await events) as [[string, Error & { code: string }]]
      assert.equal(name, 'error')
      assert.equal(error.code, 'ERR_SUBPROCESS_SCOPE_CLOSED')
      assert.equal(subprocess.pid, undefined)
    })
  })

  test('accepts signal 0 as a test for existence, and signals by number', async () => {
    await served.inRequest(async (request) => {
      const subprocess = request.spawn('sleep', ['1000'])
      assert.equal(subprocess.kill(0), true)
      subprocess.kill(9)
      assert.deepEqual(await once(subprocess, 'exit'), [null, 'SIGKILL'])
      assert.equal(subprocess.kill(0), false)
      assert.throws(() => subprocess.kill('SIGNONE' as never), { name: 'SubprocessOptionError' })
    })
  })
})

suite('of the arguments of spawn()', () => {
  const refused: [string, () => [string, (readonly string[])?, object?], RegExp][] = [
    ['an empty command', () => [''], /command is ""/],
    ['a command with a zero byte', () => ['a\0b'], /command is "a\\u0000b"/],
    ['arguments that are no array', () => ['true', 'x' as never], /args is "x"/],
    ['detached', () => ['true', [], { detached: true }], /options\.detached is true.*release\(\)/],
    ['a wrong stdio', () => ['true', [], { stdio: 'pip' }], /options\.stdio is "pip".*'pipe'/],
    ['an option that is no object', () => ['true', [], 'utf8' as never], /options is "utf8"/],
    ['a wrong user', () => ['true', [], { uid: 'root' }], /options\.uid is "root"/]
  ]
  for (const [what, given, message] of refused) {
    test(`${what} is a TypeError that names it`, async () => {
      await served.inRequest(async (request) => {
        const [command, args, options] = given()
        assert.throws(
          () => request.spawn(command, args, options),
          (error: Error) => {
            assert.ok(error instanceof TypeError)
            assert.match(error.message, message)
            return true
          }
        )
      })
    })
  }
})

suite('standard streams', () => {
  test('closed by the command while the worker writes (EPIPE) do not crash the server', async (t) => {
    const served = await serve({}, (app, served) => {
      app.get('/run', async (request) => {
        const subprocess = served.run(request, 'closes-stdin.sh', [], {
          stdio: ['pipe', 'ignore', 'inherit']
        })
        await served.witness.present(1)
        const stdin = subprocess.stdin as NodeJS.WritableStream
        stdin.write('nobody reads this')
        await new Promise((resolve) => stdin.once('close', resolve))
        return 'answer'
      })
    })
    t.after(() => served.close())
    assert.equal((await ask(served.port, '/run').answer).body, 'answer')
    await assertGone(served)
    await eventually('the failure is logged', () =>
      served.log.some(({ msg }) => msg.startsWith('a subprocess failed'))
    )
    await assertClean(served)
  })

  test('destroyed by the user before the start are ended streams for the command', async () => {
    await served.inRequest(async (request) => {
      const subprocess = request.spawn('sh', ['-c', 'cat; echo more >&2'])
      subprocess.stdin?.destroy()
      subprocess.stdout?.destroy()
      assert.equal(await text(subprocess.stderr as never), 'more\n')
      assert.equal(subprocess.exitCode ?? (await once(subprocess, 'exit'))[0], 0)
    })
  })

  test('leave no descriptor open in worker and keeper', async () => {
    const keeper = served.app.subprocessGuard.keeper
    const count = () => [descriptorsOf(process.pid), descriptorsOf(keeper)]
    await served.inRequest(async (request) => void (await once(request.spawn('true'), 'close')))
    await assertClean(served)
    const before = count()
    await served.inRequest(async (request) => {
      const closed = Array.from({ length: 60 }, (_, index) => {
        const subprocess = request.spawn(index % 3 === 0 ? join(folder, 'no-such-command') : 'true')
        if (index % 2 === 0) subprocess.stdout?.destroy()
        return closeOf(subprocess)
      })
      await Promise.all(closed)
    })
    await assertClean(served)
    await eventually('no more descriptors than before', () =>
      count().every((now, index) => now <= (before[index] ?? 0))
    )
  })
})
