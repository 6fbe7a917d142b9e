/** What needs a direct launch behaves as in Node: IPC channels, and descriptors and streams as stdio. */

import assert from 'node:assert/strict'
import type { ChildProcess, ForkOptions } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  createWriteStream,
  mkdtempSync,
  openSync,
  readFileSync,
  realpathSync,
  rmSync
} from 'node:fs'
import { type AddressInfo, connect, createServer, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex, Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { after, suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { closed, eventsOf, forEachLauncher } from './harness/launchers.js'
import { statOf } from './harness/proc.js'

const program = fileURLToPath(new URL('../../test/programs/answers.mjs', import.meta.url))
const folder = realpathSync(mkdtempSync(join(tmpdir(), 'child-process-test-')))
after(() => rmSync(folder, { recursive: true }))

async function replyOf(child: ChildProcess, message: unknown): Promise<unknown> {
  const [[reply]] = await Promise.all([once(child, 'message'), child.send(message as object)])
  return reply
}

forEachLauncher((launcher) => {
  /** Forks the program that answers messages, and resolves with its first message, which describes it. */
  async function forked(options: ForkOptions = {}, args: string[] = []) {
    const child = launcher.fork(program, args, options)
    const [description] = await once(child, 'message')
    return { child, description }
  }

  suite('fork() and the IPC channel', () => {
    test('messages go both ways, and the worker is the parent', async () => {
      const { child, description } = await forked({}, ['a', 'b'])
      assert.deepEqual(description.argv, ['a', 'b'])
      assert.equal(statOf(child.pid as number)?.parent, process.pid)
      assert.equal(child.connected, true)
      assert.ok(child.channel)
      assert.deepEqual([child.stdin, child.stdout, child.stderr], [null, null, null])
      const message = { text: 'é', list: [1, null], date: new Date(0) }
      assert.deepEqual(await replyOf(child, message), { ...message, date: '1970-01-01T00:00:00.000Z' })
      child.send('end')
      assert.deepEqual(
        (await eventsOf(child)).filter(([name]) => name !== 'disconnect'),
        [
          ['exit', 3, null],
          ['close', 3, null]
        ]
      )
      assert.equal(child.connected, false)
    })

    test("serialization: 'advanced' carries what JSON cannot", async () => {
      const { child } = await forked({ serialization: 'advanced' })
      const message = { map: new Map([['a', 1n]]), bytes: Buffer.from([0, 255]), date: new Date(0) }
      const reply = (await replyOf(child, message)) as typeof message
      assert.deepEqual([reply.map, reply.date], [message.map, message.date])
      assert.deepEqual([...reply.bytes], [0, 255])
      child.kill()
      await closed(child)
    })

    test("disconnect() at either end emits 'disconnect' once and lets the child exit", async () => {
      const { child: left } = await forked()
      const disconnected = once(left, 'disconnect')
      left.disconnect()
      assert.equal(left.connected, false)
      await disconnected
      // Node emits no 'close' for a child whose channel was closed by the worker.
      assert.deepEqual(await once(left, 'exit'), [0, null])
      const { child: leaving } = await forked()
      const events = eventsOf(leaving)
      leaving.send('disconnect')
      assert.deepEqual(await events, [['disconnect'], ['exit', 0, null], ['close', 0, null]])
    })

    test("send() after the end passes an error to its callback, or emits 'error'", async () => {
      const { child } = await forked()
      child.send('end')
      await closed(child)
      const error = await new Promise<NodeJS.ErrnoException | null>((resolve) => child.send('late', resolve))
      assert.equal(error?.code, 'ERR_IPC_CHANNEL_CLOSED')
      const emitted = once(child, 'error')
      assert.equal(child.send('late'), false)
      assert.equal((await emitted)[0].code, 'ERR_IPC_CHANNEL_CLOSED')
    })

    test('send() carries a connection to the child', async () => {
      const { child } = await forked()
      const server = createServer((socket) => child.send('take', socket)).listen(0, '127.0.0.1')
      await once(server, 'listening')
      const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
      assert.equal(await text(client), 'taken')
      server.close()
      child.disconnect()
      await once(child, 'exit')
    })

    test('silent, env, cwd, execArgv and execPath', async () => {
      const env = { ...process.env, GIVEN: 'given' }
      const options = {
        silent: true,
        env,
        cwd: folder,
        execArgv: ['--no-warnings'],
        execPath: process.execPath
      }
      const { child, description } = await forked(options, ['talk'])
      assert.deepEqual(description, {
        argv: ['talk'],
        execArgv: ['--no-warnings'],
        given: 'given',
        cwd: folder
      })
      assert.equal(child.spawnfile, process.execPath)
      const output = text(child.stdout as Readable)
      child.disconnect()
      assert.equal(await output, 'to stdout')
    })

    test('timeout, signal and killSignal', async () => {
      const controller = new AbortController()
      const { child } = await forked({ signal: controller.signal, killSignal: 'SIGINT', timeout: 100_000 })
      const events = eventsOf(child)
      controller.abort()
      const names = (await events).map(([name]) => name)
      assert.deepEqual([names[0], names.at(-1), child.signalCode], ['error', 'close', 'SIGINT'])
    })

    test("spawn has a channel with 'ipc' as stdio", async () => {
      const stdio = ['ignore', 'pipe', 'inherit', 'ipc'] as const
      const child = launcher.spawn(process.execPath, [program, 'talk'], {
        stdio: [...stdio],
        serialization: 'advanced'
      })
      const output = text(child.stdout as Readable)
      await once(child, 'message')
      assert.deepEqual(await replyOf(child, new Set([1])), new Set([1]))
      assert.equal(child.stdio[3], null)
      child.disconnect()
      assert.equal(await output, 'to stdout')
    })
  })

  suite('descriptors and streams as stdio', () => {
    test('a file descriptor', async () => {
      const path = join(folder, `${launcher.name}-number`)
      const file = openSync(path, 'w')
      const child = launcher.spawn('sh', ['-c', 'echo out; echo err >&2'], { stdio: ['ignore', file, file] })
      closeSync(file)
      assert.deepEqual([child.stdin, child.stdout, child.stderr], [null, null, null])
      await closed(child)
      assert.equal(readFileSync(path, 'utf8'), 'out\nerr\n')
    })

    test('a file stream', async () => {
      const stream = createWriteStream(join(folder, `${launcher.name}-stream`))
      await once(stream, 'open')
      const child = launcher.spawn('echo', ['out'], { stdio: ['ignore', stream, 'inherit'] })
      await closed(child)
      stream.end()
      await once(stream, 'close')
      assert.equal(readFileSync(stream.path, 'utf8'), 'out\n')
    })

    test('the stdin of another child', async () => {
      const last = launcher.spawn('cat', [], { stdio: ['pipe', 'pipe', 'inherit'] })
      const output = text(last.stdout as Readable)
      await once(last, 'spawn')
      const first = launcher.spawn('echo', ['out'], { stdio: ['ignore', last.stdin, 'inherit'] })
      await closed(first)
      last.stdin?.end()
      assert.equal(await output, 'out\n')
    })

    suite('the output of another child', () => {
      const mebibyte = 1024 * 1024
      /**
       * Runs `a | b`, where `b` counts the bytes, and resolves with the count. `b` starts in the same turn of
       * the event loop as `a`, or once `a` has written.
       */
      async function countThroughPipe(bytes: number, whenWritten: boolean): Promise<string> {
        const a = launcher.spawn('head', ['-c', `${bytes}`, '/dev/zero'], {
          stdio: ['ignore', 'pipe', 'inherit']
        })
        if (whenWritten) await once(a.stdout as Readable, 'readable')
        const b = launcher.spawn('wc', ['-c'], { stdio: [a.stdout, 'pipe', 'inherit'] })
        assert.deepEqual([b.stdin, b.stdio[0]], [null, null])
        const [output] = await Promise.all([text(b.stdout as Readable), closed(b)])
        return output.trim()
      }

      test('arrives complete', async () => {
        const runs = Array.from({ length: 20 }, () => countThroughPipe(mebibyte, false))
        assert.deepEqual(new Set(await Promise.all(runs)), new Set([`${mebibyte}`]))
      })

      const skip =
        launcher.does('output read before it is given away') === 'lost' && 'what Node has read is lost'
      test('arrives complete even if the other child has already written', { skip }, async () => {
        const runs = Array.from({ length: 20 }, (_, index) =>
          countThroughPipe(index % 2 === 0 ? 10 : mebibyte, true)
        )
        const expected = new Set(['10', `${mebibyte}`])
        assert.deepEqual(new Set(await Promise.all(runs)), expected)
      })

      test('stays readable for the worker after the reader has exited', async () => {
        const a = launcher.spawn('cat', [], { stdio: ['pipe', 'pipe', 'inherit'] })
        const b = launcher.spawn('head', ['-n', '1'], { stdio: [a.stdout, 'pipe', 'inherit'] })
        a.stdin?.write('first\n')
        assert.equal(await text(b.stdout as Readable), 'first\n')
        if (b.exitCode === null) await once(b, 'exit')
        a.stdin?.end('second\n')
        assert.equal(await text(a.stdout as Readable), 'second\n')
      })

      test('written to a child that has exited makes the writer fail', async () => {
        const b = launcher.spawn('true', [], { stdio: ['pipe', 'inherit', 'inherit'] })
        const a = launcher.spawn('yes', [], { stdio: ['ignore', b.stdin, 'ignore'] })
        await closed(a)
        // Ended by SIGPIPE, or with a status of its own.
        assert.notEqual(a.exitCode, 0)
      })
    })

    test('a fourth pipe, in both directions', async () => {
      const child = launcher.spawn('sh', ['-c', 'read line <&3; echo "heard $line" >&3'], {
        stdio: ['ignore', 'ignore', 'inherit', 'pipe']
      })
      const fourth = child.stdio[3] as unknown as Duplex
      assert.ok(fourth instanceof Socket)
      const output = text(fourth)
      fourth.write('line\n')
      assert.equal(await output, 'heard line\n')
    })
  })
})
