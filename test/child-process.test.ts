/**
 * `spawn` and `ChildProcess` behave as Node documents them, item by item. Each test runs with Node itself,
 * with the keeper, and with a direct launch.
 */

import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  writeFileSync
} from 'node:fs'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { after, suite, test } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { eventually } from './harness/expectations.js'
import { closed, differences, eventsOf, forEachLauncher } from './harness/launchers.js'
import { nodeMajor } from './harness/node-major.js'
import { type Stat, statOf } from './harness/proc.js'

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'child-process-test-')))
const missing = join(folder, 'no-such-command')
const plain = join(folder, 'not-executable')
writeFileSync(plain, '#!/bin/sh\n')
chmodSync(plain, 0o644)
after(() => rmSync(folder, { recursive: true }))

const isRoot = process.getuid?.() === 0
/** A timeout in ms that no process of a test lives to see. */
const veryLateMs = 100_000

function streamsOf(child: ChildProcess): { stdin: Writable; stdout: Readable; stderr: Readable } {
  return child as never
}

/** Resolves with everything that the child writes to standard output, once it is closed. */
async function outputOf(child: ChildProcess): Promise<string> {
  const [output] = await Promise.all([text(streamsOf(child).stdout), closed(child)])
  return output
}

/** Resolves with the first line on standard output, by which a process shows that it is ready. */
async function firstLine(child: ChildProcess): Promise<string> {
  let output = ''
  while (!output.includes('\n')) output += String((await once(streamsOf(child).stdout, 'data'))[0])
  return output.slice(0, output.indexOf('\n'))
}

/** Whether the stream drains within a few turns of the event loop, although the command reads nothing. */
async function drainsUnread(stdin: Writable): Promise<boolean> {
  for (let turn = 0; turn < 10 && stdin.writableNeedDrain; turn++) {
    await new Promise((resolve) => setImmediate(resolve))
  }
  return !stdin.writableNeedDrain
}

test('docs/child-process.md names every difference', () => {
  const docs = readFileSync(new URL('../../docs/child-process.md', import.meta.url), 'utf8')
  const unnamed = Object.keys(differences).filter((difference) => !docs.includes(difference))
  assert.deepEqual(unnamed, [])
})

test('kill() after a direct start that failed sends no signal to the worker or its process group', async () => {
  const program = fileURLToPath(new URL('./harness/failed-start-main.js', import.meta.url))
  // It has its own process group, so that a wrong signal does not reach the group of the tests.
  const worker = spawn(process.execPath, [program], { detached: true, stdio: ['ignore', 'pipe', 'inherit'] })
  const [output] = await Promise.all([text(worker.stdout), closed(worker)])
  assert.deepEqual([output, worker.signalCode], ['still there\n', null])
})

forEachLauncher((launcher) => {
  suite('spawn(command[, args][, options])', () => {
    test('accepts a command alone, with options, with arguments, and with both', async () => {
      assert.deepEqual(await eventsOf(launcher.spawn('true')), [
        ['spawn'],
        ['exit', 0, null],
        ['close', 0, null]
      ])
      assert.equal(await outputOf(launcher.spawn('pwd', { cwd: folder })), `${folder}\n`)
      assert.equal(await outputOf(launcher.spawn('echo', ['a', ' b'])), 'a  b\n')
      assert.equal(await outputOf(launcher.spawn('pwd', [], { cwd: folder })), `${folder}\n`)
      assert.equal(await outputOf(launcher.spawn('pwd', undefined, { cwd: folder })), `${folder}\n`)
      assert.equal(await outputOf(launcher.spawn('pwd', null as never, { cwd: folder })), `${folder}\n`)
    })

    test('cwd: is a path or a file: URL, and that of the worker by default', async () => {
      assert.equal(await outputOf(launcher.spawn('pwd', [], { cwd: pathToFileURL(folder) })), `${folder}\n`)
      assert.equal(await outputOf(launcher.spawn('pwd')), `${process.cwd()}\n`)
    })

    test('env: includes inherited properties, omits undefined ones, and is that of the worker by default', async () => {
      const env = Object.assign(Object.create({ INHERITED: 'i' }), {
        PATH: process.env.PATH,
        GIVEN: 'é=\n',
        NUMBER: 1,
        UNDEFINED: undefined
      })
      const variables = JSON.parse(
        await outputOf(launcher.spawn(process.execPath, ['-p', 'JSON.stringify(process.env)'], { env }))
      )
      const added = launcher.does('variables added to the environment') as string[]
      for (const name of added) {
        assert.equal(typeof variables[name], 'string')
        delete variables[name]
      }
      assert.deepEqual(variables, { PATH: process.env.PATH, GIVEN: 'é=\n', NUMBER: '1', INHERITED: 'i' })
      process.env.SET_LATER = 'set'
      assert.equal(await outputOf(launcher.spawn('sh', ['-c', 'echo $SET_LATER'])), 'set\n')
      delete process.env.SET_LATER
    })

    // busybox decides by its name which program it is.
    test('argv0: is the name that the command sees', async () => {
      const child = launcher.spawn('sh', ['-c', 'echo $0'], { argv0: 'named/sh' })
      assert.equal(child.spawnfile, 'sh')
      assert.deepEqual(child.spawnargs, ['named/sh', '-c', 'echo $0'])
      assert.equal(await outputOf(child), 'named/sh\n')
    })

    test('shell: is true for /bin/sh, or the path of another shell', async () => {
      const child = launcher.spawn('echo $((1 + 1)); echo $0', { shell: true })
      assert.equal(child.spawnfile, '/bin/sh')
      assert.deepEqual(child.spawnargs, ['/bin/sh', '-c', 'echo $((1 + 1)); echo $0'])
      assert.equal(await outputOf(child), '2\n/bin/sh\n')
      assert.equal(launcher.spawn('true', { shell: '/usr/bin/env' }).spawnfile, '/usr/bin/env')
      assert.equal(launcher.spawn('true', { shell: '' }).spawnfile, 'true')
      assert.equal(launcher.spawn('true', { shell: false }).spawnfile, 'true')
    })

    test('uid, gid: are the user and group of the process', {
      skip: !isRoot && 'only root may change users'
    }, async () => {
      const child = launcher.spawn('sh', ['-c', 'id -u; id -g'], { uid: 65_534, gid: 65_534 })
      assert.equal(await outputOf(child), '65534\n65534\n')
    })

    test('timeout: sends killSignal, SIGTERM by default, and emits no error', async () => {
      const plain = eventsOf(launcher.spawn('sleep', ['1000'], { timeout: 50 }))
      const given = eventsOf(launcher.spawn('sleep', ['1000'], { timeout: 50, killSignal: 'SIGINT' }))
      const number = eventsOf(launcher.spawn('sleep', ['1000'], { timeout: 50, killSignal: 9 }))
      for (const [events, signal] of [
        [await plain, 'SIGTERM'],
        [await given, 'SIGINT'],
        [await number, 'SIGKILL']
      ] as const) {
        assert.deepEqual(events, [['spawn'], ['exit', null, signal], ['close', null, signal]])
      }
    })

    test('timeout: has no effect on a process that exits before it, or if it is 0', async () => {
      const late = launcher.spawn('true', [], { timeout: veryLateMs })
      const never = launcher.spawn('sleep', ['0.05'], { timeout: 0 })
      for (const events of await Promise.all([eventsOf(late), eventsOf(never)])) {
        assert.deepEqual(events.at(-1), ['close', 0, null])
      }
      assert.equal(late.killed, false)
    })

    test('signal: when aborted later, sends killSignal and emits an AbortError', async () => {
      const controller = new AbortController()
      const child = launcher.spawn('sleep', ['1000'], { signal: controller.signal, killSignal: 'SIGINT' })
      const events = eventsOf(child)
      await once(child, 'spawn')
      const reason = new Error('enough')
      controller.abort(reason)
      const [, [name, error], ...rest] = (await events) as [unknown, [string, NodeJS.ErrnoException]]
      assert.equal(name, 'error')
      assert.equal(error.name, 'AbortError')
      assert.equal(error.code, 'ABORT_ERR')
      assert.equal(error.message, 'The operation was aborted')
      assert.equal(error.cause, reason)
      assert.deepEqual(rest, [
        ['exit', null, 'SIGINT'],
        ['close', null, 'SIGINT']
      ])
      assert.equal(child.killed, true)
    })

    for (const [when, abort] of [
      ['before the call', (controller: AbortController) => controller.abort()],
      ['right after it', (controller: AbortController) => setImmediate(() => controller.abort())]
    ] as const) {
      test(`signal: when aborted ${when}, the process still starts and 'spawn' is emitted first`, async () => {
        const controller = new AbortController()
        abort(controller)
        const events = await eventsOf(launcher.spawn('sleep', ['1000'], { signal: controller.signal }))
        assert.deepEqual(
          events.map(([name]) => name),
          ['spawn', 'error', 'exit', 'close']
        )
        assert.deepEqual(events.at(-1), ['close', null, 'SIGTERM'])
      })
    }

    test('signal: has no effect on a process that has exited or failed to start', async () => {
      const controller = new AbortController()
      const ended = launcher.spawn('true', [], { signal: controller.signal })
      await closed(ended)
      ended.on('error', (error) => assert.fail(error))
      controller.abort()
      assert.equal(ended.killed, false)

      const events = await eventsOf(launcher.spawn(missing, [], { signal: AbortSignal.abort() }))
      assert.deepEqual(
        events.map(([name, value]) => [name, (value as NodeJS.ErrnoException).code]),
        [
          ['error', 'ENOENT'],
          ['close', undefined]
        ]
      )
    })

    test('windowsHide, windowsVerbatimArguments, serialization, detached: false and null are accepted', async () => {
      const options = { windowsHide: true, windowsVerbatimArguments: false, detached: false }
      assert.equal(await outputOf(launcher.spawn('echo', ['said'], options)), 'said\n')
      assert.equal(await outputOf(launcher.spawn('echo', ['said'], { serialization: 'json' })), 'said\n')
      const names = 'cwd env argv0 shell uid gid timeout killSignal detached windowsHide'.split(' ')
      const nulls = Object.fromEntries(names.map((name) => [name, null]))
      assert.equal(await outputOf(launcher.spawn('echo', ['said'], nulls as never)), 'said\n')
    })

    test('does not modify arguments and options', async () => {
      const args = Object.freeze(['-c', 'true'])
      const options = Object.freeze({
        env: Object.freeze({ ...process.env }),
        stdio: Object.freeze(['ignore', 'ignore', 'ignore'])
      })
      await closed(launcher.spawn('sh', args, options as never))
      assert.deepEqual(args, ['-c', 'true'])
      const short = ['ignore']
      await closed(launcher.spawn('true', [], { stdio: short as never }))
      const isFilled = launcher.does('array for `stdio` shorter than three') === 'filled up'
      assert.equal(short.length, isFilled ? 3 : 1)
    })

    const invalid: [string, [string, (readonly string[] | SpawnOptions)?, object?]][] = [
      ['command', ['']],
      ['command', [1 as never]],
      ['command', ['a\0b']],
      ['args', ['true', 'args' as never]],
      ['args', ['true', ['a\0b']]],
      ['cwd', ['true', [], { cwd: 1 }]],
      ['cwd', ['true', [], { cwd: 'a\0b' }]],
      ['env', ['true', [], { env: { NAME: 'a\0b' } }]],
      ['argv0', ['true', [], { argv0: 1 }]],
      ['shell', ['true', [], { shell: 1 }]],
      ['stdio', ['true', [], { stdio: 'pip' }]],
      ['stdio', ['true', [], { stdio: 1 }]],
      ['uid', ['true', [], { uid: 1.5 }]],
      ['gid', ['true', [], { gid: 'root' }]],
      ['timeout', ['true', [], { timeout: -1 }]],
      ['timeout', ['true', [], { timeout: '1' }]],
      ['signal', ['true', [], { signal: 'SIGTERM' }]],
      ['killSignal', ['true', [], { killSignal: 'SIGNONE' }]],
      ['windowsHide', ['true', [], { windowsHide: 1 }]],
      ['windowsVerbatimArguments', ['true', [], { windowsVerbatimArguments: 1 }]]
    ]
    for (const [name, [command, args, options]] of invalid) {
      test(`throws for an invalid ${name}: ${JSON.stringify(options ?? args ?? command)}`, () => {
        const codes = launcher.does('`code` of a wrong option') as string[]
        assert.throws(
          () => launcher.spawn(command, args, options),
          (error: NodeJS.ErrnoException) => codes.includes(error.code as string)
        )
      })
    }

    test('detached: true throws, except in Node', async () => {
      const spawn = (): ChildProcess => launcher.spawn('true', [], { detached: true })
      if (launcher.does('`detached: true`') === 'accepted') await closed(spawn())
      else assert.throws(spawn, /options\.detached is true.*release\(\)/)
    })

    test('an unknown option is ignored', async () => {
      const child = launcher.spawn('true', [], { unknown: 1, encoding: 'utf8', maxBuffer: 1 } as never)
      await closed(child)
      assert.equal(child.exitCode, 0)
    })

    test('throws a TypeError for options that are not an object', () => {
      for (const options of ['utf8', 1, true, [], () => {}]) {
        assert.throws(() => launcher.spawn('true', [], options as never), TypeError)
      }
    })

    test('throws for serialization: null', () => {
      assert.throws(() => launcher.spawn('true', [], { serialization: null as never }), TypeError)
    })

    test('null as options is accepted, except by Node', async () => {
      const spawn = (): ChildProcess => launcher.spawn('true', [], null as never)
      if (launcher.does('`options` is `null`') === 'throws') assert.throws(spawn, TypeError)
      else await closed(spawn())
    })

    test('the process has the documented parent and process group', async () => {
      const child = launcher.spawn('cat')
      await once(child, 'spawn')
      const { parent, group } = statOf(child.pid as number) as Stat
      const parents = { worker: process.pid, keeper: launcher.guard?.keeper }
      assert.equal(parent, parents[launcher.does('parent of the process') as 'worker'])
      assert.equal(group === child.pid, launcher.does('process group') === 'its own')
      child.stdin?.end()
      await closed(child)
    })
  })

  suite('events', () => {
    test("are 'spawn', output, 'exit', 'close', each once", async () => {
      const child = launcher.spawn('sh', ['-c', 'read a; echo "$a"; read b; echo errors >&2; exit 3'])
      const order: string[] = []
      for (const name of ['spawn', 'exit', 'close']) child.on(name, () => order.push(name))
      const { stdin, stdout, stderr } = streamsOf(child)
      stdout.once('data', () => {
        order.push('data')
        // Output and exit arrive on different connections, so end the command only once its output was seen.
        stdin.end('end\n')
      })
      for (const stream of [stdout, stderr]) stream.once('end', () => order.push('end'))
      stderr.resume()
      stdin.write('input\n')
      const events = await eventsOf(child)
      assert.deepEqual(events, [['spawn'], ['exit', 3, null], ['close', 3, null]])
      assert.deepEqual(order.slice(0, 2), ['spawn', 'data'])
      assert.equal(order.at(-1), 'close')
      assert.deepEqual(order.toSorted(), ['close', 'data', 'end', 'end', 'exit', 'spawn'])
    })

    test("'spawn' comes before any output, also of many commands started at once", async () => {
      const early: string[] = []
      const children = Array.from({ length: 50 }, () => {
        const child = launcher.spawn('sh', ['-c', 'echo out; echo err >&2'])
        let isThere = false
        child.once('spawn', () => {
          isThere = true
        })
        const { stdout, stderr } = streamsOf(child)
        for (const stream of [stdout, stderr]) {
          stream.setEncoding('utf8').on('data', (text: string) => {
            if (!isThere || child.pid === undefined) early.push(text)
          })
        }
        return Promise.all([text(stdout), text(stderr), closed(child)])
      })
      for (const [out, err] of await Promise.all(children)) assert.deepEqual([out, err], ['out\n', 'err\n'])
      assert.deepEqual(early, [])
    })

    test("'exit' and 'close' have the status, or the signal that ended the process", async () => {
      for (const status of [0, 1, 42, 255]) {
        const child = launcher.spawn('sh', ['-c', `exit ${status}`])
        assert.deepEqual((await eventsOf(child)).slice(1), [
          ['exit', status, null],
          ['close', status, null]
        ])
        assert.deepEqual([child.exitCode, child.signalCode], [status, null])
      }
      for (const signal of ['SIGKILL', 'SIGTERM', 'SIGHUP', 'SIGUSR1']) {
        const child = launcher.spawn('sh', ['-c', `kill -${signal.slice(3)} $$`])
        assert.deepEqual((await eventsOf(child)).slice(1), [
          ['exit', null, signal],
          ['close', null, signal]
        ])
        assert.deepEqual([child.exitCode, child.signalCode], [null, signal])
      }
    })

    test("'close' comes even if the output is never read", async () => {
      const child = launcher.spawn('sh', ['-c', 'echo unread; echo unread >&2'])
      assert.deepEqual((await eventsOf(child)).at(-1), ['close', 0, null])
    })

    test("'close' comes while a grandchild holds the standard streams, except in Node", async () => {
      const child = launcher.spawn('sh', ['-c', 'sleep 1000 & echo $!'])
      const grandchild = Number(await firstLine(child))
      const close = closed(child)
      if (child.exitCode === null) await once(child, 'exit')
      const isWaiting = launcher.does('`close` while a grandchild holds stdout') === 'waits'
      if (!isWaiting) await close
      assert.ok(statOf(grandchild) !== undefined)
      process.kill(grandchild, 'SIGKILL')
      await close
    })

    const failures: [string, string, string[], object, string][] = [
      ['is not found', missing, ['a', 'b'], {}, 'ENOENT'],
      ['is not executable', plain, [], {}, 'EACCES'],
      ['has a missing cwd', 'true', ['a'], { cwd: missing }, 'ENOENT'],
      ['has a missing shell', 'true', ['a'], { shell: missing }, 'ENOENT']
    ]
    for (const [problem, command, args, options, code] of failures) {
      test(`are only 'error' and 'close' when the command ${problem}`, async () => {
        const child = launcher.spawn(command, args, options)
        const streamsClosed = [child.stdin, child.stdout, child.stderr].map((stream) =>
          once(stream as Socket, 'close')
        )
        const [[name, error], ...rest] = (await eventsOf(child)) as [[string, NodeJS.ErrnoException]]
        const file = 'shell' in options ? missing : command
        const { errno, syscall, path, message } = error
        assert.equal(name, 'error')
        assert.deepEqual(
          { ...error },
          { errno, code, syscall: `spawn ${file}`, path: file, spawnargs: child.spawnargs.slice(1) }
        )
        assert.equal(message, `spawn ${file} ${code}`)
        assert.deepEqual({ syscall, path }, { syscall: `spawn ${file}`, path: file })
        assert.ok((errno as number) < 0)
        assert.deepEqual(rest, [['close', errno, null]])
        assert.deepEqual([child.pid, child.exitCode, child.signalCode], [undefined, errno, null])
        assert.equal(child.kill(), false)
        assert.equal(child.killed, false)
        await Promise.all(streamsClosed)
      })
    }

    test("a start that fails with E2BIG throws in Node and in a direct launch, else emits 'error'", async () => {
      const spawn = (): ChildProcess => launcher.spawn('true', ['x'.repeat(4 * 1024 * 1024)])
      if (launcher.does('start refused with E2BIG') === 'throws') assert.throws(spawn, { code: 'E2BIG' })
      else {
        const [error] = await once(spawn(), 'error')
        assert.equal(error.code, 'E2BIG')
      }
    })

    test("an 'error' without a listener is logged, except in Node", async () => {
      const child = launcher.spawn(missing)
      if (launcher.does('`error` without a listener') === 'throws') {
        // Without this listener the error would end the test process.
        child.once('error', () => {})
        await closed(child)
        assert.throws(() => child.emit('error', new Error('unheard')), /unheard/)
      } else {
        await closed(child)
        assert.match(String(launcher.log.at(-1)?.err), /ENOENT/)
      }
    })

    test('are emitted in the asynchronous context of the call', async () => {
      const storage = new AsyncLocalStorage<string>()
      const seen = await storage.run('context', () => {
        const child = launcher.spawn('echo', ['said'])
        const storeAt = (emitter: NodeJS.EventEmitter, name: string): Promise<unknown> =>
          new Promise((resolve) => emitter.once(name, () => resolve(storage.getStore())))
        return Promise.all([
          storeAt(child, 'spawn'),
          storeAt(streamsOf(child).stdout, 'data'),
          storeAt(child, 'exit'),
          storeAt(child, 'close')
        ])
      })
      assert.deepEqual(seen, Array(4).fill('context'))
    })
  })

  suite('a ChildProcess', () => {
    test('has every documented property, from start to end', async () => {
      const child = launcher.spawn('cat')
      assert.ok(child instanceof ChildProcess)
      assert.equal(typeof child.pid, launcher.does('`pid` before `spawn`'))
      assert.equal(typeof Reflect.get(child, '_handle'), launcher.does('`_handle` of the child'))
      const { stdin, stdout, stderr } = streamsOf(child)
      for (const stream of [stdin, stdout, stderr]) assert.ok(stream instanceof Socket)
      assert.deepEqual([...child.stdio], [stdin, stdout, stderr])
      assert.deepEqual([stdin.writable, (stdin as Socket).readable, stdout.readable], [true, false, true])
      const { connected, channel, exitCode, signalCode, killed, spawnfile, spawnargs } = child
      assert.deepEqual(
        { connected, channel, exitCode, signalCode, killed, spawnfile, spawnargs },
        {
          connected: false,
          channel: undefined,
          exitCode: null,
          signalCode: null,
          killed: false,
          spawnfile: 'cat',
          spawnargs: ['cat']
        }
      )
      assert.deepEqual([typeof child.send, typeof child.disconnect], ['undefined', 'undefined'])
      await once(child, 'spawn')
      assert.ok(statOf(child.pid as number) !== undefined)
      const { pid } = child
      stdin.end()
      await closed(child)
      assert.deepEqual([child.exitCode, child.signalCode, child.killed, child.pid], [0, null, false, pid])
      assert.deepEqual([child.stdin, child.stdout, child.stderr], [stdin, stdout, stderr])
    })

    test('kill() sends SIGTERM, or the given signal, by name or number', async () => {
      for (const [given, signal] of [
        [undefined, 'SIGTERM'],
        ['SIGHUP', 'SIGHUP'],
        ['sigint', 'SIGINT'],
        [9, 'SIGKILL']
      ] as const) {
        const child = launcher.spawn('cat')
        await once(child, 'spawn')
        assert.equal(child.killed, false)
        assert.equal(child.kill(given as NodeJS.Signals), true)
        assert.equal(child.killed, true)
        assert.deepEqual(await once(child, 'exit'), [null, signal])
        assert.deepEqual([child.kill(), child.kill(0), child.killed], [false, false, true])
      }
    })

    test("kill() before 'spawn' ends the process after it has started", async () => {
      const child = launcher.spawn('sleep', ['1000'])
      assert.equal(child.kill('SIGINT'), true)
      assert.equal(child.killed, true)
      assert.deepEqual(await eventsOf(child), [
        ['spawn'],
        ['exit', null, 'SIGINT'],
        ['close', null, 'SIGINT']
      ])
    })

    // Node 20 and 22 call kill(2) with a pid that was never set.
    const skip = launcher.name === 'node' && nodeMajor < 24 && 'this Node may signal any process'
    test('kill() before a failed start reaches no process', { skip }, async () => {
      const child = launcher.spawn(missing)
      const events = eventsOf(child)
      assert.equal(child.kill(), launcher.does('`kill()` before a failed start is known'))
      assert.deepEqual(
        (await events).map(([name]) => name),
        ['error', 'close']
      )
      assert.equal(child.kill(), false)
      assert.equal(child.kill(0), false)
      assert.throws(() => child.kill('SIGNONE' as never), TypeError)
    })

    test('kill(0) tests whether the process exists', async () => {
      const child = launcher.spawn('cat')
      assert.equal(child.kill(0), true)
      await once(child, 'spawn')
      assert.equal(child.kill(0), true)
      child.stdin?.end()
      assert.deepEqual(await once(child, 'exit'), [0, null])
      assert.equal(child.kill(0), false)
    })

    test('kill() also sends signals that do not end the process', async () => {
      const child = launcher.spawn('sh', [
        '-c',
        'trap "echo heard; exit 7" USR1; echo ready; while :; do sleep 0.05; done'
      ])
      assert.equal(await firstLine(child), 'ready')
      assert.equal(child.kill('SIGSTOP'), true)
      await eventually('it is stopped', () => statOf(child.pid as number)?.state === 'T')
      child.kill('SIGCONT')
      child.kill('SIGUSR1')
      assert.equal(await firstLine(child), 'heard')
      if (child.exitCode === null) await once(child, 'exit')
      assert.deepEqual([child.exitCode, child.signalCode], [7, null])
    })

    test('kill() throws a TypeError for a signal that does not exist', async () => {
      const child = launcher.spawn('cat')
      for (const signal of ['SIGNONE', 1000, {}, 'sigterm ']) {
        assert.throws(() => child.kill(signal as never), TypeError)
      }
      assert.equal(child.killed, false)
      child.stdin?.end()
      await closed(child)
    })

    test('[Symbol.dispose]() sends SIGTERM, once', async () => {
      const child = launcher.spawn('cat')
      await once(child, 'spawn')
      child[Symbol.dispose]()
      assert.deepEqual(await once(child, 'exit'), [null, 'SIGTERM'])
      child[Symbol.dispose]()
    })

    test('ref() keeps the worker running, and unref() lets it exit', async () => {
      const activeCount = (): number => process.getActiveResourcesInfo().length
      const child = launcher.spawn('sleep', ['1000'], { stdio: 'ignore' })
      await once(child, 'spawn')
      const before = activeCount()
      child.unref()
      assert.equal(activeCount(), before - 1)
      child.unref()
      assert.equal(activeCount(), before - 1)
      child.ref()
      child.ref()
      assert.equal(activeCount(), before)
      child.kill()
      await closed(child)
    })

    test('ref() and unref() return nothing, at any time', async () => {
      const child = launcher.spawn('cat')
      child.unref()
      child.ref()
      child.ref()
      child.stdin?.end()
      await closed(child)
      assert.equal(child.ref(), undefined)
      assert.equal(child.unref(), undefined)
    })
  })

  suite('stdin, stdout, stderr', () => {
    test('can be half-closed: the command sees the end of its input, and its output goes on', async () => {
      const child = launcher.spawn('sh', ['-c', 'cat >&2; echo after'])
      const { stdin, stdout, stderr } = streamsOf(child)
      const output = Promise.all([text(stdout), text(stderr)])
      stdin.write('a')
      stdin.write(Buffer.from('b'))
      stdin.end('c')
      await once(stdin, 'finish')
      assert.deepEqual(await output, ['after\n', 'abc'])
      assert.equal(stdin.destroyed, true)
    })

    test('can be used for a dialogue, line by line', async () => {
      const child = launcher.spawn('cat')
      for (const line of ['one', 'two', 'three']) {
        child.stdin?.write(`${line}\n`)
        assert.equal(await firstLine(child), line)
      }
      child.stdin?.end()
      await closed(child)
    })

    test('a write emits EPIPE when the command has closed its input', async () => {
      const child = launcher.spawn('sh', ['-c', 'exec 0<&-; echo closed; exec sleep 1000'])
      assert.equal(await firstLine(child), 'closed')
      const { stdin } = streamsOf(child)
      const errors = once(stdin, 'error')
      stdin.write('nobody reads this')
      const [error] = await errors
      assert.deepEqual([error.code, error.syscall, error.errno], ['EPIPE', 'write', -32])
      assert.equal(stdin.destroyed, true)
      child.kill()
      await closed(child)
    })

    test('an EPIPE without a listener is logged, except in Node', async () => {
      const child = launcher.spawn('sh', ['-c', 'exec 0<&-; echo closed; exec sleep 1000'])
      assert.equal(await firstLine(child), 'closed')
      const { stdin } = streamsOf(child)
      const throws = launcher.does('stdin `error` without a listener') === 'throws'
      // Without this listener the error would end the test process.
      if (throws) stdin.once('error', () => {})
      stdin.write('nobody reads this')
      // Not events.once(), which would itself listen to 'error'.
      await new Promise<void>((resolve) => stdin.once('close', () => resolve()))
      if (!throws) assert.match(String(launcher.log.at(-1)?.err), /EPIPE/)
      child.kill()
      await closed(child)
    })

    test('a write after the process has exited fails', async () => {
      const child = launcher.spawn('true')
      await closed(child)
      const [error] = await new Promise<[NodeJS.ErrnoException]>((resolve) => {
        streamsOf(child).stdin.on('error', () => {})
        streamsOf(child).stdin.write('late', (error) => resolve([error as NodeJS.ErrnoException]))
      })
      assert.equal(error.code, 'ERR_STREAM_DESTROYED')
    })

    test('back-pressure on the input: write() returns false until the command reads', async () => {
      const child = launcher.spawn('sh', ['-c', 'echo ready; kill -STOP $$; exec wc -c'])
      const { stdin, stdout } = streamsOf(child)
      assert.equal(await firstLine(child), 'ready')
      await eventually('it is stopped', () => statOf(child.pid as number)?.state === 'T')
      const chunk = Buffer.alloc(65_536, 1)
      let bytes = 0
      let hasRoom = true
      // The socket buffers some data before the stream is full.
      while (hasRoom) {
        hasRoom = stdin.write(chunk)
        bytes += chunk.length
        if (!hasRoom) hasRoom = await drainsUnread(stdin)
      }
      assert.ok(stdin.writableNeedDrain)
      assert.ok(bytes < 10_000_000)
      const drained = once(stdin, 'drain')
      child.kill('SIGCONT')
      await drained
      stdin.end()
      assert.equal(Number(await text(stdout)), bytes)
    })

    test('back-pressure on the output: the command blocks until it is read, and nothing is lost', async () => {
      const child = launcher.spawn('head', ['-c', '20000000', '/dev/zero'], {
        stdio: ['ignore', 'pipe', 'inherit']
      })
      const { stdout } = streamsOf(child)
      await once(stdout, 'readable')
      await eventually('it blocks in a write', () => statOf(child.pid as number)?.state === 'S')
      assert.ok(stdout.readableLength < 1_000_000)
      assert.equal(child.exitCode, null)
      assert.equal((await buffer(stdout)).length, 20_000_000)
    })

    test('binary data passes unchanged in both directions', async () => {
      const data = Buffer.from(
        Array.from({ length: 2_000_003 }, (_, index) => (index * 7 + (index >> 8)) & 0xff)
      )
      const child = launcher.spawn('cat')
      const { stdin, stdout } = streamsOf(child)
      stdin.end(data)
      assert.ok((await buffer(stdout)).equals(data))
    })

    test('support setEncoding() on the output and setDefaultEncoding() on the input', async () => {
      const child = launcher.spawn('cat')
      const { stdin, stdout } = streamsOf(child)
      stdout.setEncoding('utf8')
      stdin.setDefaultEncoding('latin1')
      stdin.write(Buffer.from([0xe2, 0x82]))
      stdin.write(Buffer.from([0xac]))
      stdin.end('é', 'utf8')
      let output = ''
      for await (const part of stdout) output += part
      assert.equal(output, '€é')
    })

    test('destroying the output ends a command that keeps writing', async () => {
      const child = launcher.spawn('sh', ['-c', 'echo ready; exec cat /dev/zero'])
      await firstLine(child)
      streamsOf(child).stdout.destroy()
      const [status, signal] = await once(child, 'exit')
      // If it had written more than was read, its write fails with ECONNRESET first: it exits with status 1.
      assert.ok(signal === 'SIGPIPE' || status === 1)
    })
  })

  suite('options.stdio', () => {
    const shapes: [unknown, string][] = [
      [undefined, 'stream stream stream'],
      [null, 'stream stream stream'],
      ['pipe', 'stream stream stream'],
      ['overlapped', 'stream stream stream'],
      ['ignore', 'null null null'],
      [[], 'stream stream stream'],
      [['ignore'], 'null stream stream'],
      [[null, undefined, 'ignore'], 'stream stream null'],
      [['pipe', 'overlapped', 'inherit'], 'stream stream null'],
      [['ignore', 'inherit', 'inherit'], 'null null null'],
      [[0, 1, 2], 'null null null'],
      [['pipe', 'pipe', 'pipe', 'pipe'], 'stream stream stream stream'],
      [['ignore', 'pipe', 'ignore', null], 'null stream null null'],
      [['ignore', 'pipe', 'ignore', 'ignore', 'pipe'], 'null stream null null stream']
    ]
    for (const [stdio, shape] of shapes) {
      test(`${JSON.stringify(stdio)} gives ${shape}`, async () => {
        const child = launcher.spawn('true', [], { stdio } as never)
        const found = child.stdio.map((stream) => (stream instanceof Socket ? 'stream' : String(stream)))
        assert.equal(found.join(' '), shape)
        assert.deepEqual(child.stdio.slice(0, 3), [child.stdin, child.stdout, child.stderr])
        await closed(child)
        assert.equal(child.exitCode, 0)
      })
    }

    test("'inherit' is the stream of the worker, and 'ignore' is /dev/null", async () => {
      const child = launcher.spawn('sleep', ['1000'], { stdio: ['ignore', 'inherit', 'inherit'] })
      await once(child, 'spawn')
      assert.equal(readlinkSync(`/proc/${child.pid}/fd/0`), '/dev/null')
      for (const descriptor of [1, 2]) {
        const [own, its] = ['self', child.pid].map((pid) => readlinkSync(`/proc/${pid}/fd/${descriptor}`))
        assert.equal(its, own)
      }
      child.kill()
      await closed(child)
    })
  })
})
