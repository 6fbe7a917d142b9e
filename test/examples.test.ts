/** The examples work as described and leave nothing. */

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { suite, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { ask } from './harness/client.js'
import { eventually } from './harness/expectations.js'
import { freePort } from './harness/free-port.js'
import { childrenOf, isAlive, lives, treeOf } from './harness/proc.js'
import { assertSheds, Upload, untilItServes, untilItSheds } from './harness/uploads.js'

interface Example {
  readonly port: number
  readonly server: ChildProcess
}

const preload = fileURLToPath(new URL('./harness/example-preload.js', import.meta.url))

/** Starts an example, and resolves when it listens. SIGUSR2 makes its deadline of `deadlineMs` pass. */
async function start(
  t: TestContext,
  name: string,
  deadlineMs: number,
  variables: Record<string, string> = {}
): Promise<Example> {
  const file = fileURLToPath(new URL(`../examples/${name}.js`, import.meta.url))
  const port = await freePort()
  const env = { ...process.env, PORT: String(port), PASSES_MS: String(deadlineMs), ...variables }
  const server = spawn(process.execPath, ['--import', preload, file], {
    env,
    stdio: ['ignore', 'pipe', 'ignore']
  })
  t.after(() => server.kill('SIGKILL'))
  const [output] = await once(server.stdout as NodeJS.ReadableStream, 'data')
  assert.equal(String(output), 'listening\n')
  return { port, server }
}

/** Asserts that the deadline answers a hanging request and ends its command, and SIGTERM the rest. */
async function assertLeavesNothing({ port, server }: Example): Promise<void> {
  const [keeper] = childrenOf(server.pid as number)
  const { answer } = ask(port, '/hang')
  await eventually('the command and its child run', () => treeOf(keeper as number).length >= 4)
  const [, ...hanging] = treeOf(keeper as number)
  server.kill('SIGUSR2')
  const { status, body } = await answer
  assert.equal(status, 503)
  assert.match(body, /The request did not end within its deadline/)
  await eventually('the hanging command is gone', () => !hanging.some(isAlive))
  await assertStops({ port, server })
}

/** Asserts that no command is left, and that SIGTERM ends the rest. */
async function assertStops({ server }: Example): Promise<void> {
  const [keeper] = childrenOf(server.pid as number)
  await eventually('the keeper has no child', () => childrenOf(keeper as number).length === 0)
  server.kill('SIGTERM')
  const [code] = await once(server, 'exit')
  assert.equal(code, 0)
  await eventually('the keeper is gone', () => !lives(keeper))
}

/** The answer to an upload with nothing but its two lines. */
const sorted = { status: 200, body: 'a\nb\n' }

suite('an example', () => {
  test('guards a plain node:http server', async (t) => {
    const example = await start(t, 'http', 2_000)
    const { status, body } = await ask(example.port, '/').answer
    assert.equal(status, 200)
    assert.match(body, / etc$/m)
    await assertLeavesNothing(example)
  })

  test('guards an Express server', async (t) => {
    const example = await start(t, 'express', 500)
    const answer = await fetch(`http://127.0.0.1:${example.port}/compress`, {
      method: 'POST',
      body: 'the body'
    })
    assert.equal(answer.status, 200)
    assert.equal(gunzipSync(Buffer.from(await answer.arrayBuffer())).toString(), 'the body')
    await assertLeavesNothing(example)
  })

  suite('with @fastify/under-pressure', () => {
    test('answers 503 at once while too many commands wait, and what runs goes on', async (t) => {
      const example = await start(t, 'under-pressure', 30_000)
      const { port } = example
      const uploads: Upload[] = []
      t.after(() => {
        for (const upload of uploads) upload.leave()
      })
      assert.deepEqual(await (await Upload.begin(port)).finish(), sorted)

      // 4 commands run, and 10 wait: half of those that may.
      for (let count = 0; count < 14; count++) uploads.push(await Upload.begin(port))
      assert.equal((await ask(port, '/status').answer).status, 200)

      uploads.push(await Upload.begin(port))
      // The status is asked for at the moment. What the other routes do was decided at the last check.
      await assertSheds(port, '/status')
      await untilItSheds(port)
      await assertSheds(port, '/sort', { body: 'b\na\n' })

      for (const upload of uploads) assert.deepEqual(await upload.finish(), sorted)
      await untilItServes(port)
      assert.deepEqual(await (await Upload.begin(port)).finish(), sorted)
      await assertStops(example)
    })

    test('answers 503 at once while its subprocesses use too much memory, and what runs goes on', async (t) => {
      const example = await start(t, 'under-pressure', 30_000, { MAX_MEMORY_BYTES: '12000000' })
      const { port } = example
      assert.deepEqual(await (await Upload.begin(port)).finish(), sorted)

      const upload = await Upload.begin(port)
      t.after(() => upload.leave())
      // sort(1) reads all lines into its memory before it writes the first one.
      const lines = `${'z'.repeat(999_999)}\n`.repeat(20)
      upload.write(lines)
      await untilItSheds(port)
      await assertSheds(port, '/status')
      await assertSheds(port, '/sort', { body: 'b\na\n' })

      const { status, body } = await upload.finish()
      assert.equal(status, 200)
      assert.ok(body === `a\nb\n${lines}`)
      await untilItServes(port)
      assert.deepEqual(await (await Upload.begin(port)).finish(), sorted)
      await assertStops(example)
    })
  })
})
