/**
 * Standard streams whose pipes the keeper makes, as on Windows with koffi. The worker connects to Unix sockets in
 * the same way, so these tests need no Windows.
 */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, fstatSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { suite, type TestContext, test } from 'node:test'
import type * as RecordModule from '../lib/containment/scope-record.js'
import type * as RegistryModule from '../lib/keeper/launch-registry.js'
import type * as MadePipesModule from '../lib/keeper/made-pipes.js'
import type { OpenedStream } from '../lib/keeper/process-starter.js'
import type * as PipedStdioModule from '../lib/subprocess/piped-stdio.js'
import type { KeeperMessage } from '../lib/wire/messages.js'
import { compiled } from './harness/compiled.js'

// Not exported by the package: import the compiled files.
const { PipedStdio }: typeof PipedStdioModule = await compiled('subprocess/piped-stdio')
const { MadePipes }: typeof MadePipesModule = await compiled('keeper/made-pipes')
const { ScopeRecord }: typeof RecordModule = await compiled('containment/scope-record')
const { LaunchRegistry }: typeof RegistryModule = await compiled('keeper/launch-registry')

interface Making {
  readonly stdio: PipedStdioModule.PipedStdio
  /** The keeper's end of each stream. */
  readonly ends: Promise<readonly [stdin: Socket, stdout: Socket, stderr: Socket]>
  /**
   * The worker connects. Resolves when all pipes are connected, or with the code of a failure. `extra` is added to the
   * number of each pipe.
   */
  readonly connect: (extra?: number) => Promise<string | undefined>
}

/** Three pipes. */
async function making(t: TestContext): Promise<Making> {
  const folder = mkdtempSync(join(tmpdir(), 'made-pipes-'))
  t.after(() => rmSync(folder, { recursive: true }))
  let onLost = (_?: string): void => {}
  const stdio = new PipedStdio(['pipe', 'pipe', 'pipe'], {
    isStarting: () => true,
    heardAll: () => undefined,
    onConnectionLost: (code) => onLost(code),
    onUnheardError() {},
    onEnding() {},
    onAllClosed() {}
  })
  const targets = stdio.targets(['pipe', 'pipe', 'pipe'])
  const pipeOf = (connection: number): string => join(folder, String(connection))
  const servers = targets.map((target) =>
    createServer({ allowHalfOpen: true }).listen(pipeOf(target as number))
  )
  await Promise.all(servers.map((server) => once(server, 'listening')))
  t.after(() => servers.map((server) => server.close()))
  const accepted = servers.map(async (server) => {
    const [end] = (await once(server, 'connection')) as [Socket]
    t.after(() => void end.destroy())
    return end
  })
  const ends = Promise.all(accepted) as Promise<readonly Socket[]> as Making['ends']
  const connect = (extra = 0): Promise<string | undefined> =>
    new Promise((resolve) => {
      onLost = resolve
      stdio.connectToPipes(
        (connection) => pipeOf(connection + extra),
        () => resolve(undefined)
      )
    })
  return { stdio, ends, connect }
}

suite('a stream whose pipe the keeper has made', () => {
  test('carries what is written from the start on, without a header', async (t) => {
    const { stdio, ends, connect } = await making(t)
    stdio.stdin?.end('input')
    await connect()
    const [input, output] = await ends
    output.end('output')
    stdio.started()
    assert.equal(await text(input), 'input')
    assert.equal(await text(stdio.stdout as never), 'output')
  })

  for (const moment of ['before', 'while']) {
    test(`has ended for the command if it is destroyed ${moment} the worker connects`, async (t) => {
      const { stdio, ends, connect } = await making(t)
      const destroy = (): void => {
        for (const stream of [stdio.stdin, stdio.stdout, stdio.stderr]) stream?.destroy()
      }
      if (moment === 'before') destroy()
      const connected = connect()
      if (moment === 'while') destroy()
      assert.equal(await connected, undefined)
      for (const end of await ends) assert.equal(await text(end), '')
    })
  }

  test('fails with the code if the pipe is not there', async (t) => {
    const { stdio, ends, connect } = await making(t)
    void ends.catch(() => {})
    assert.equal(await connect(100), 'ENOENT')
    stdio.startFailed()
  })
})

suite('a launch whose pipes the keeper makes', () => {
  const request = { file: 'tool', args: ['tool'], cwd: '/', env: {}, stdio: [1, 2, 3] } as const
  const scope = new ScopeRecord(1, 'mark', { graceMs: 0, killSignal: 'SIGTERM' }, undefined)

  /** Launches a command whose pipes are files. Returns what the worker is told, and what becomes of the files. */
  function launch(makePipe: (open: () => number) => number) {
    const sent: KeeperMessage[] = []
    const opened: number[] = []
    const open = (): number => {
      opened.push(openSync('/dev/null', 'r+'))
      return opened.at(-1) as number
    }
    const started: unknown[] = []
    const launches = new LaunchRegistry({
      census: { leaderStarted() {} } as never,
      connections: new MadePipes({ path: '/pipe', secret: 's'.repeat(32) }, () => makePipe(open)),
      startProcess: ({ stdio }) => {
        started.push(
          stdio.map((stream) => fstatSync((stream as OpenedStream).descriptor).isCharacterDevice())
        )
        return { pid: 7, kill() {} }
      },
      isWorkerGone: () => false,
      send: (message) => sent.push(message),
      onStart() {},
      onKilled() {},
      onExit() {}
    })
    launches.launch({ type: 'launch', id: 5, scope: 1, request: request as never }, scope)
    const areClosed = (): boolean => opened.every((descriptor) => !existsSync(`/dev/fd/${descriptor}`))
    return { launches, sent, started, areClosed }
  }

  test('starts when the worker has connected, and keeps no end of its own', () => {
    const { launches, sent, started, areClosed } = launch((open) => open())
    assert.deepEqual([sent, started], [[{ type: 'pipes-made', id: 5 }], []])
    launches.pipesConnected(5)
    assert.deepEqual(started, [[true, true, true]])
    assert.deepEqual(sent.slice(1), [{ type: 'spawned', id: 5, pid: 7 }])
    assert.ok(areClosed())
  })

  test('closes them if its scope closes first', () => {
    const { launches, sent, started, areClosed } = launch((open) => open())
    launches.abandonWaiting(scope)
    launches.pipesConnected(5)
    assert.deepEqual([sent[1]?.type, started], ['failed', []])
    assert.ok(areClosed())
  })

  test('fails with the code if one cannot be made, and closes the others', () => {
    let count = 0
    const { sent, started, areClosed } = launch((open) => {
      count++
      if (count === 3) throw Object.assign(new Error('no more'), { code: 'EMFILE' })
      return open()
    })
    const failure = { code: 'EMFILE', message: 'spawn tool EMFILE' }
    assert.deepEqual([sent, started], [[{ type: 'failed', id: 5, failure }], []])
    assert.ok(areClosed())
  })
})
