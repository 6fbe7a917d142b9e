/** The MCP gateway of the examples with the official client: its calls are answered, and nothing is left (FAULTS 84). */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { EmptyResultSchema } from '@modelcontextprotocol/sdk/types.js'
import { distantMs, passDeadlines } from './harness/deadlines.js'
import { assertGone, eventually } from './harness/expectations.js'
import { freePort } from './harness/free-port.js'
import { patienceMs } from './harness/patience.js'
import { argumentsOf, childrenOf, type Identity, isAlive, lives, treeOf } from './harness/proc.js'
import { serve } from './harness/server.js'
import { shareKeeper } from './harness/shared-keeper.js'

shareKeeper()

const preload = fileURLToPath(new URL('./harness/example-preload.js', import.meta.url))
const main = fileURLToPath(new URL('../examples/mcp-gateway.js', import.meta.url))
const never = (): Promise<never> => new Promise(() => {})
// A call that is not told of its end fails by itself then, with another message.
const timeout = patienceMs

/** Connects the official client. It takes any server that speaks streamable HTTP. */
async function connectTo(t: TestContext, port: number): Promise<Client> {
  const client = new Client({ name: 'test', version: '1.0.0' })
  // A connection that is cut is told to the call that it is of, or is of none.
  client.onerror = () => {}
  await client.connect(new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${port}/mcp`)) as never)
  t.after(() => client.close())
  return client
}

/** The gateway of the examples in a process of its own, and its keeper. */
async function startGateway(t: TestContext) {
  const port = await freePort()
  const cache = mkdtempSync(join(tmpdir(), 'npm-'))
  const env = {
    ...process.env,
    PORT: String(port),
    PASSES_MS: '30000',
    // npx asks nobody, and leaves nothing in the home folder.
    npm_config_offline: 'true',
    npm_config_update_notifier: 'false',
    npm_config_cache: cache
  }
  const server = spawn(process.execPath, ['--import', preload, main], {
    env,
    stdio: ['ignore', 'pipe', 'inherit']
  })
  t.after(async () => {
    server.kill('SIGKILL')
    await eventually('the keeper is gone', () => !lives(keeper))
    rmSync(cache, { recursive: true, force: true })
  })
  const [said] = await once(server.stdout, 'data')
  assert.equal(String(said), 'listening\n')
  const [keeper] = childrenOf(server.pid as number)
  return {
    port,
    passDeadlines: () => server.kill('SIGUSR2'),
    /** Everything that requests have started and that lives. */
    running: () => treeOf(keeper as number).slice(1)
  }
}

type Gateway = Awaited<ReturnType<typeof startGateway>>

/** Resolves with npx, its shell and the MCP server when all of them run. */
async function wholeTree({ running }: Gateway): Promise<Identity[]> {
  const names = (): string =>
    running()
      .map(({ pid }) => argumentsOf(pid).join(' '))
      .join('\n')
  await eventually('npx, its shell and the server run', () =>
    /^npm exec.*\nsh -c .*\n.*node.* \S*mcp-server\.js$/.test(names())
  )
  return running()
}

async function assertAllGone(gateway: Gateway, tree: readonly Identity[] = []): Promise<void> {
  await eventually('npx, its shell and the server are gone', () => !tree.some(isAlive))
  await eventually('nothing runs', () => gateway.running().length === 0)
}

function add(client: Client, a: number, b: number) {
  return client.callTool({ name: 'add', arguments: { a, b } }, undefined, { timeout })
}

function hang(client: Client) {
  return client.callTool({ name: 'hang', arguments: {} }, undefined, { timeout })
}

suite('an MCP gateway', () => {
  test('answers a call, and leaves nothing of npx, its shell and the server', async (t) => {
    const gateway = await startGateway(t)
    const client = await connectTo(t, gateway.port)
    const { tools } = await client.listTools()
    assert.deepEqual(
      tools.map(({ name }) => name),
      ['add', 'hang']
    )
    const { content } = await add(client, 2, 3)
    assert.deepEqual(content, [{ type: 'text', text: '5' }])
    await assertAllGone(gateway)
  })

  test('tells a call at its deadline, and leaves nothing', async (t) => {
    const gateway = await startGateway(t)
    const client = await connectTo(t, gateway.port)
    const call = hang(client)
    call.catch(() => {})
    const tree = await wholeTree(gateway)
    gateway.passDeadlines()
    await assert.rejects(call, { code: -32001, message: /The request did not end within its deadline/ })
    await assertAllGone(gateway, tree)
    const { content } = await add(client, 1, 1)
    assert.deepEqual(content, [{ type: 'text', text: '2' }])
  })

  test('leaves nothing of a call whose client goes away', async (t) => {
    const gateway = await startGateway(t)
    const client = await connectTo(t, gateway.port)
    const call = hang(client)
    call.catch(() => {})
    const tree = await wholeTree(gateway)
    await client.close()
    await assertAllGone(gateway, tree)
  })

  test('answers fifty calls, and leaves nothing of any', async (t) => {
    const calls = Array.from({ length: 50 }, (_, index) => index)
    const lane = async (): Promise<void> => {
      const gateway = await startGateway(t)
      const client = await connectTo(t, gateway.port)
      for (let index = calls.shift(); index !== undefined; index = calls.shift()) {
        const { content } = await add(client, index, 1)
        assert.deepEqual(content, [{ type: 'text', text: String(index + 1) }])
        await assertAllGone(gateway)
      }
    }
    await Promise.all([lane(), lane()])
  })
})

suite('a last word that a gateway says to an MCP client when its signal aborts', () => {
  for (const how of ['write', 'end'] as const) {
    for (const when of ['in the listener', 'in a promise that follows'] as const) {
      test(`by ${how}(), ${when}, arrives`, async (t) => {
        const served = await serve({ guard: { timeout: distantMs } }, (app, served) => {
          app.post('/mcp', async (request, reply) => {
            const { id, method } = request.body as { id?: number; method: string }
            if (id === undefined) return reply.code(202).send()
            if (method === 'initialize') {
              const serverInfo = { name: 'test', version: '1.0.0' }
              return {
                jsonrpc: '2.0',
                id,
                result: { protocolVersion: '2025-06-18', capabilities: {}, serverInfo }
              }
            }
            reply.hijack()
            reply.raw.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
            const say = (): void => {
              const last = { jsonrpc: '2.0', id, error: { code: -32001, message: 'the last word' } }
              reply.raw[how](`event: message\ndata: ${JSON.stringify(last)}\n\n`)
            }
            request.subprocesses.signal.addEventListener('abort', () => {
              if (when === 'in the listener') say()
              else void Promise.resolve().then(say)
            })
            served.run(request, 'waits.sh')
            return never()
          })
        })
        t.after(() => served.close())
        const client = await connectTo(t, served.port)
        const call = client.request({ method: 'ping' }, EmptyResultSchema, { timeout })
        call.catch(() => {})
        await served.witness.present(1)
        await passDeadlines()
        await assert.rejects(call, { code: -32001, message: /the last word/ })
        await assertGone(served)
      })
    }
  }
})
