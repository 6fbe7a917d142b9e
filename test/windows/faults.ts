/** What ends a request, a worker or a keeper: whatever it is, no process of the request is left (docs/faults.md). */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { SubprocessGuardOptions } from 'fastify-subprocess-guard'
import { gone } from './gone.js'
import { keeperWithoutKoffi } from './keeper-without-koffi.js'
import { test } from './run-tests.js'
import { TestServer } from './server.js'
import { members } from './tree-main.js'
import { Witness } from './witness.js'

const treeProgram = fileURLToPath(new URL('tree-main.js', import.meta.url))
const graceMs = 500
const options = { timeout: 50_000, grace: graceMs }

async function comes({ witness }: TestServer, name: string): Promise<void> {
  for (const member of members) await witness.comes(`${name}${member}`)
}

/** Resolves when no process of the tree is alive. */
async function goes({ witness }: TestServer, name: string): Promise<void> {
  for (const member of members) await witness.goes(`${name}${member}`)
}

let startMs: Promise<number> | undefined

/** Longer than a tree takes to start here, in ms. */
async function longEnough(): Promise<number> {
  startMs ??= measureStart()
  return Math.max(3_000, Math.ceil(4 * (await startMs)))
}

async function measureStart(): Promise<number> {
  const witness = await Witness.open()
  const startedAt = performance.now()
  spawn(process.execPath, [treeProgram, ''], { stdio: 'ignore', env: witness.env })
  for (const member of members) await witness.comes(member)
  witness.close()
  return performance.now() - startedAt
}

/** Runs a test with a server, and ends both. */
function serverTest(
  name: string,
  run: (server: TestServer) => Promise<void>,
  given: () => Promise<SubprocessGuardOptions> = async () => options,
  level = 'job'
): void {
  test(name, async (context) => {
    const server = await TestServer.start(await given(), { deadlineMs: await longEnough() })
    context.explain = () => server.log()
    try {
      assert.equal(server.containment, level)
      await run(server)
    } catch (error) {
      throw new Error(`${(error as Error).stack}\n${server.log()}`)
    } finally {
      server.process.kill('SIGKILL')
      server.witness.close()
    }
  })
}

serverTest(
  'a request that passes its deadline: 503, and its tree ends, a detached grandchild too',
  async (server) => {
    const { answer } = server.request('/waits-briefly?name=a')
    await comes(server, 'a')
    assert.equal((await answer).status, 503)
    await goes(server, 'a')
    assert.equal((await server.answer('/go?name=x')).status, 200)
    await server.logs(/"reason":"deadline"/)
  }
)

serverTest('a client that disconnects, and a handler that answers and leaves a tree', async (server) => {
  const [left, answered] = [server.request('/waits?name=a'), server.request('/leaves?name=b')]
  await comes(server, 'a')
  await comes(server, 'b')
  left.leave()
  await server.answer('/go?name=b')
  assert.equal((await answered.answer).status, 200)
  await goes(server, 'a')
  await goes(server, 'b')
  await server.logs(/"reason":"disconnected"/)
})

serverTest('a handler that is blocked past its deadline', async (server) => {
  server.request('/blocks?name=a')
  await comes(server, 'a')
  server.request('/go?name=a')
  // The keeper ends it: the event loop is blocked for ever.
  await goes(server, 'a')
  assert.ok(server.witness.isAlive('server'))
})

serverTest(
  'a shutdown with a request in flight',
  async (server) => {
    const { answer } = server.request('/waits?name=a')
    await comes(server, 'a')
    const exited = once(server.process, 'exit')
    server.process.send('close')
    assert.equal((await answer).status, 503)
    assert.deepEqual(await exited, [0, null])
    await goes(server, 'a')
  },
  async () => ({ ...options, drain: 0 })
)

for (const [how, end] of [
  ['is ended by TerminateProcess', (server: TestServer) => server.kill()],
  ['exits', async (server: TestServer) => server.request('/exits').leave],
  ['has an uncaught exception', async (server: TestServer) => server.request('/throws').leave]
] as const) {
  serverTest(`a worker that ${how}`, async (server) => {
    server.request('/waits?name=a')
    await comes(server, 'a')
    await end(server)
    await server.witness.goes('server')
    await goes(server, 'a')
  })
}

serverTest(
  'a worker that hangs past workerTimeout is ended, with its trees',
  async (server) => {
    server.request('/blocks?name=a')
    await comes(server, 'a')
    const exited = once(server.process, 'exit')
    server.request('/go?name=a')
    await goes(server, 'a')
    await exited
    assert.match(server.log(), /worker \d+ hung for \d+ ms in GET \/blocks/)
    assert.match(server.log(), /at block /)
  },
  async () => ({ ...options, workerTimeout: await longEnough() })
)

serverTest(
  'a worker that hangs in execFileSync is ended, with the child',
  async (server) => {
    server.request('/hangs-in-child?name=a')
    await server.witness.comes('aleader')
    await server.witness.goes('server')
    await server.witness.goes('aleader')
  },
  async () => ({ ...options, workerTimeout: await longEnough() })
)

serverTest(
  'a keeper that is ended by TerminateProcess: its trees end, and the next one serves',
  async (server) => {
    const { answer } = server.request('/waits?name=a')
    await comes(server, 'a')
    process.kill(server.keeper, 'SIGKILL')
    await goes(server, 'a')
    assert.equal((await answer).status, 503)
    const next = server.request('/leaves?name=b')
    await comes(server, 'b')
    await server.answer('/go?name=b')
    assert.equal((await next.answer).status, 200)
    await goes(server, 'b')
    await server.logs(/"reason":"keeper-lost"/)
  }
)

serverTest('a keeper and a worker that are ended together', async (server) => {
  server.request('/waits?name=a')
  await comes(server, 'a')
  process.kill(server.keeper, 'SIGKILL')
  server.process.kill('SIGKILL')
  await goes(server, 'a')
})

serverTest('a command that the worker starts itself (fork), and one that is adopted', async (server) => {
  const [forked, adopted] = [server.request('/forks?name=a'), server.request('/adopts?name=b')]
  await comes(server, 'a')
  await comes(server, 'b')
  await server.answer('/go?name=b')
  assert.equal(JSON.parse((await adopted.answer).body).length, members.length)
  await goes(server, 'b')
  await server.answer('/go?name=a')
  assert.equal((await forked.answer).status, 200)
  await goes(server, 'a')
})

serverTest('a released command outlives its scope, its worker and the keeper', async (server) => {
  const { witness } = server
  const { answer } = server.request('/releases?name=a')
  await comes(server, 'a')
  await server.answer('/go?name=a')
  assert.deepEqual(JSON.parse((await answer).body), { listed: 0 })
  const keeperGone = gone(server.keeper)
  await server.kill()
  await witness.goes('server')
  await keeperGone
  assert.deepEqual(witness.alive().sort(), members.map((member) => `a${member}`).sort())
})

// What `taskkill` ends besides depends on the system: Wine 8 has none that works.
serverTest(
  'without koffi, the command itself ends with its request, its worker and its keeper',
  async (server) => {
    const { leave } = server.request('/waits?name=a')
    server.request('/waits?name=b')
    for (const name of ['a', 'b']) await server.witness.comes(`${name}leader`)
    leave()
    await server.witness.goes('aleader')
    process.kill(server.keeper, 'SIGKILL')
    await server.witness.goes('bleader')
    await server.logs(/another keeper is starting/)
    server.request('/waits?name=c')
    await server.witness.comes('cleader')
    await server.kill()
    await server.witness.goes('cleader')
  },
  async () => ({ ...options, keeperPath: keeperWithoutKoffi }),
  'tree'
)

test('without the guard, each of these leaves a tree (negative control)', async () => {
  const server = await TestServer.start({}, { isGuarded: false })
  try {
    const { leave } = server.request('/waits?name=a')
    await comes(server, 'a')
    leave()
    assert.equal((await server.answer('/go?name=x')).status, 200)
    await server.kill()
    // Node.js itself ends the leader with the worker. What that had started is left.
    await server.witness.goes('aleader')
    assert.ok(server.witness.isAlive('agrandchild'))
  } finally {
    server.witness.close()
  }
})
