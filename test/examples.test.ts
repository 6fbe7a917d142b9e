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

interface Example {
  readonly port: number
  readonly server: ChildProcess
}

const preload = fileURLToPath(new URL('./harness/example-preload.js', import.meta.url))

/** Starts an example, and resolves when it listens. SIGUSR2 makes its deadline of `deadlineMs` pass. */
async function start(t: TestContext, name: string, deadlineMs: number): Promise<Example> {
  const file = fileURLToPath(new URL(`../examples/${name}.js`, import.meta.url))
  const port = await freePort()
  const env = { ...process.env, PORT: String(port), PASSES_MS: String(deadlineMs) }
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
  await eventually('the keeper has no child', () => childrenOf(keeper as number).length === 0)
  server.kill('SIGTERM')
  const [code] = await once(server, 'exit')
  assert.equal(code, 0)
  await eventually('the keeper is gone', () => !lives(keeper))
}

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
})
