/**
 * `execFile` and `exec` behave as Node documents their promise versions. Each test runs with Node itself,
 * with the keeper, and with a direct launch.
 */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { suite, test } from 'node:test'
import { eventually } from './harness/expectations.js'
import { closed, failureOf, forEachLauncher, type SpawnMethods } from './harness/launchers.js'
import { lives } from './harness/proc.js'

const missing = join(import.meta.dirname, 'no-such-command')
const noOutput = { stdout: '', stderr: '' }

/** Ends the standard input of a run where the launcher leaves that to the user. */
function endInput<Run extends ReturnType<SpawnMethods['exec']>>(launcher: SpawnMethods, run: Run): Run {
  if (launcher.does('`execFile` without `input`') === 'stdin open') run.child.stdin?.end()
  return run
}

forEachLauncher((launcher) => {
  /** `killed` and `signal`, which some errors of Node do not have. */
  const ifOnEveryError = (fields: object): object =>
    launcher.does('`killed` and `signal` of every `execFile` error') === 'all' ? fields : {}

  /** The message of Node's error includes the command line and standard error; the guard's does not. */
  const expectedMessage = (ofNode: string, ofGuard: string): string =>
    launcher.does('`message` of a failed `execFile`') === 'program and end' ? ofGuard : ofNode

  suite('execFile and exec', () => {
    test('resolve with the output, and have the child as a property', async () => {
      const run = launcher.execFile('sh', ['-c', 'echo out; echo é >&2'])
      assert.equal(run.child.spawnfile, 'sh')
      assert.deepEqual({ ...(await run) }, { stdout: 'out\n', stderr: 'é\n' })
      assert.deepEqual({ ...(await launcher.execFile('true')) }, noOutput)
      assert.equal((await launcher.exec('echo "$((1 + 1)) $0"')).stdout, '2 /bin/sh\n')
    })

    test('support cwd, env and shell', async () => {
      const options = { cwd: '/', env: { ...process.env, GIVEN: 'given' } }
      assert.equal((await launcher.exec('echo $PWD $GIVEN', options)).stdout, '/ given\n')
      assert.equal((await launcher.execFile('echo', ['$PWD'], { cwd: '/', shell: true })).stdout, '/\n')
      assert.equal((await launcher.exec('echo $0', { shell: undefined })).stdout, '/bin/sh\n')
      assert.equal(
        (await launcher.exec('echo said', { shell: '/bin/sh', windowsHide: true })).stdout,
        'said\n'
      )
    })

    test('a status other than 0 is an error with all fields', async () => {
      const command = 'echo out; echo err >&2; exit 3'
      for (const [error, cmd, program] of [
        [await failureOf(launcher.execFile('sh', ['-c', command])), `sh -c ${command}`, 'sh'],
        [await failureOf(launcher.exec(command)), command, '/bin/sh']
      ] as const) {
        assert.ok(error instanceof Error)
        const ofGuard = `Command failed: ${program}: status 3`
        assert.equal(error.message, expectedMessage(`Command failed: ${cmd}\nerr\n`, ofGuard))
        assert.deepEqual(
          { ...error },
          { code: 3, killed: false, signal: null, cmd, stdout: 'out\n', stderr: 'err\n' }
        )
      }
    })

    test('death by a signal is an error with all fields', async () => {
      const error = await failureOf(launcher.exec('echo out; kill -KILL $$'))
      const cmd = 'echo out; kill -KILL $$'
      const ofGuard = 'Command failed: /bin/sh: ended by SIGKILL'
      assert.equal(error.message, expectedMessage(`Command failed: ${cmd}\n`, ofGuard))
      assert.deepEqual(
        { ...error },
        { code: null, killed: false, signal: 'SIGKILL', cmd, stdout: 'out\n', stderr: '' }
      )
    })

    test('a missing command rejects with the error of its start', async () => {
      const error = await failureOf(launcher.execFile(missing, ['a', 'b']))
      assert.equal(error.message, `spawn ${missing} ENOENT`)
      assert.deepEqual(
        { ...error },
        {
          errno: -2,
          code: 'ENOENT',
          syscall: `spawn ${missing}`,
          path: missing,
          spawnargs: ['a', 'b'],
          cmd: `${missing} a b`,
          ...noOutput,
          ...ifOnEveryError({ killed: false, signal: null })
        }
      )
    })

    test("other 'data' listeners get text in the encoding of the run, or in that of setEncoding()", async () => {
      /** Resolves with the chunk that a listener gets; asserts that the run resolves with the same. */
      const dataOf = async (options: { encoding?: string }, setTo?: BufferEncoding): Promise<unknown> => {
        const run = launcher.execFile('echo', ['é'], options)
        if (setTo !== undefined) run.child.stdout?.setEncoding(setTo)
        const chunks: unknown[] = []
        run.child.stdout?.on('data', (chunk) => chunks.push(chunk))
        assert.deepEqual([(await run).stdout], chunks)
        return chunks[0]
      }
      const bytes = Buffer.from('é\n')
      assert.equal(await dataOf({}), 'é\n')
      assert.equal(await dataOf({ encoding: 'base64' }), bytes.toString('base64'))
      assert.deepEqual(await dataOf({ encoding: 'buffer' }), bytes)
      assert.equal(await dataOf({}, 'hex'), bytes.toString('hex'))
      assert.equal(await dataOf({ encoding: 'buffer' }, 'utf8'), 'é\n')
    })

    test('timeout: ends the command with killSignal and keeps its output', async () => {
      const assertEnded = async (options: object, signal: string): Promise<void> => {
        const run = launcher.execFile('sh', ['-c', 'echo out; exec sleep 1000'], { timeout: 300, ...options })
        // 'out\n', or nothing if the machine was too busy for the command to get that far.
        let written = ''
        run.child.stdout?.on('data', (text) => {
          written += text
        })
        const { killed, code, signal: found, stdout } = await failureOf(run)
        assert.deepEqual([killed, code, found, stdout], [true, null, signal, written])
      }
      await Promise.all([assertEnded({}, 'SIGTERM'), assertEnded({ killSignal: 'SIGINT' }, 'SIGINT')])
      assert.deepEqual({ ...(await launcher.execFile('true', [], { timeout: 100_000 })) }, noOutput)
    })

    test('timeout: the children of the command end with it, except in Node', async () => {
      // The background process does not hold the output, so the run can finish while it lives.
      const command = 'sleep 1000 >/dev/null 2>&1 & echo $!; wait'
      const { stdout, killed } = await failureOf(launcher.exec(command, { timeout: 1_000 }))
      const pid = Number(stdout)
      assert.ok(pid > 0 && killed)
      if (launcher.does('what `timeout`, `signal` and `maxBuffer` end') === 'the command alone') {
        assert.ok(lives(pid))
        process.kill(pid, 'SIGKILL')
      } else await eventually('it has ended', () => !lives(pid))
    })

    test('maxBuffer: ends the command with killSignal and keeps the output up to the limit', async () => {
      for (const name of ['stdout', 'stderr'] as const) {
        const command = `echo 0123456789 >&${name === 'stdout' ? 1 : 2}; exec sleep 1000`
        const run = launcher.exec(command, { maxBuffer: 4, killSignal: 'SIGINT' })
        const error = await failureOf(run)
        assert.ok(error instanceof RangeError)
        assert.equal(error.message, `${name} maxBuffer length exceeded`)
        assert.deepEqual(
          { ...error },
          {
            code: 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER',
            cmd: command,
            ...noOutput,
            [name]: '0123',
            ...ifOnEveryError({ killed: true, signal: 'SIGINT' })
          }
        )
        assert.equal(run.child.signalCode, 'SIGINT')
      }
    })

    test('maxBuffer: is 1 MiB by default, inclusive; Infinity is no limit', async () => {
      const mebibyte = 1024 * 1024
      const write = (bytes: number): string => `head -c ${bytes} /dev/zero`
      assert.equal((await launcher.exec(write(mebibyte))).stdout.length, mebibyte)
      const error = await failureOf(launcher.exec(write(mebibyte + 1)))
      assert.equal(error.code, 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER')
      assert.equal(error.stdout.length, mebibyte)
      const all = await launcher.exec(write(3 * mebibyte), { maxBuffer: Number.POSITIVE_INFINITY })
      assert.equal(all.stdout.length, 3 * mebibyte)
    })

    test('encoding: is that of the text; "buffer" or null give a Buffer', async () => {
      const command = "printf '\\303\\251'"
      assert.equal((await launcher.exec(command)).stdout, 'é')
      for (const [encoding, expected] of [
        ['utf8', 'é'],
        ['hex', 'c3a9'],
        ['latin1', 'Ã©'],
        ['buffer', Buffer.from('é')],
        [null, Buffer.from('é')]
      ]) {
        assert.deepEqual((await launcher.exec(command, { encoding })).stdout, expected)
      }
      const { stdout, stderr } = await failureOf(launcher.exec(`${command}; exit 1`, { encoding: 'buffer' }))
      assert.deepEqual([stdout, stderr], [Buffer.from('é'), Buffer.alloc(0)])
    })

    test('encoding: an unknown one throws, except in Node', async () => {
      const run = (): ReturnType<SpawnMethods['exec']> => launcher.exec('echo out', { encoding: 'unknown' })
      if (launcher.does('`execFile` with an unknown `encoding`') === 'Buffer') {
        assert.deepEqual((await run()).stdout, Buffer.from('out\n'))
      } else assert.throws(run, /options\.encoding is "unknown"/)
    })

    test('signal: rejects with an AbortError at once, with the output so far', async () => {
      const controller = new AbortController()
      const command = 'trap "" TERM; echo out; exec sleep 1000'
      const run = launcher.exec(command, { signal: controller.signal })
      run.child.stdout?.once('data', () => controller.abort('reason'))
      const error = await failureOf(run)
      assert.deepEqual([error.name, error.code, error.cmd], ['AbortError', 'ABORT_ERR', command])
      assert.deepEqual([error.stdout, error.stderr, error.cause], ['out\n', '', 'reason'])
      assert.equal(run.child.killed, true)
      run.child.kill('SIGKILL')
      await closed(run.child)
    })

    test('signal: rejects with an AbortError if aborted before the call', async () => {
      const error = await failureOf(launcher.execFile('sleep', ['1000'], { signal: AbortSignal.abort() }))
      assert.deepEqual([error.name, error.code], ['AbortError', 'ABORT_ERR'])
    })

    test('child: can be killed by the user', async () => {
      const run = launcher.execFile('sleep', ['1000'])
      run.child.kill('SIGHUP')
      const { killed, signal, code } = await failureOf(run)
      assert.deepEqual([killed, signal, code], [true, 'SIGHUP', null])
    })

    test('throw synchronously for invalid arguments', () => {
      for (const options of [{ maxBuffer: -1 }, { timeout: -1 }, { killSignal: 'SIGNONE' }, { shell: 1 }]) {
        assert.throws(() => launcher.execFile('true', [], options))
      }
      assert.throws(() => launcher.execFile(''), TypeError)
    })

    test('standard input: ends without the `input` option', async () => {
      assert.equal((await endInput(launcher, launcher.execFile('cat'))).stdout, '')
    })
  })
})

forEachLauncher((launcher) => {
  const skip = launcher.name === 'node' && 'Node has `input` only for its synchronous functions'
  suite('input', { skip }, () => {
    const inputs: [string, () => unknown, string][] = [
      ['a string', () => 'é', 'é'],
      ['bytes', () => new TextEncoder().encode('é'), 'é'],
      ['a stream', () => Readable.from(['a', 'b']), 'ab'],
      [
        'an async iterable',
        async function* () {
          yield 'a'
          yield Buffer.from('b')
        },
        'ab'
      ],
      ['an empty string', () => '', '']
    ]
    for (const [kind, input, expected] of inputs) {
      test(`may be ${kind}`, async () => {
        assert.equal((await launcher.execFile('cat', [], { input: input() })).stdout, expected)
        assert.equal((await launcher.exec('cat', { input: input() })).stdout, expected)
      })
    }

    test('need not be read', async () => {
      assert.equal((await launcher.exec('echo out', { input: 'x'.repeat(4_000_000) })).stdout, 'out\n')
    })

    test('that fails rejects the run with its error and ends the command', async () => {
      const input = new Readable({
        read() {
          this.destroy(new Error('input failed'))
        }
      })
      const run = launcher.execFile('cat', [], { input, killSignal: 'SIGINT' })
      const error = await failureOf(run)
      assert.equal(error.message, 'input failed')
      assert.deepEqual([error.killed, error.signal, error.cmd], [true, 'SIGINT', 'cat'])
    })

    test('of another type throws', () => {
      assert.throws(() => launcher.execFile('cat', [], { input: 1 }), /options\.input is 1/)
    })
  })
})
