/** The MCP gateway of the examples in its own process, and the official MCP client. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { eventually } from './expectations.js'
import { freePort } from './free-port.js'
import { patienceMs } from './patience.js'
import { argumentsOf, childrenOf, type Identity, isAlive, lives, treeOf } from './proc.js'

const preload = fileURLToPath(new URL('./example-preload.js', import.meta.url))
const main = fileURLToPath(new URL('../../examples/mcp-gateway.js', import.meta.url))
// A call that gets no response fails by itself after this time, with another message. In ms.
export const timeout = patienceMs

/** Connects the official client, which accepts any server that speaks streamable HTTP. */
export async function connectTo(t: TestContext, port: number): Promise<Client> {
  const client = new Client({ name: 'test', version: '1.0.0' })
  // A cut connection is reported to its call, if it belongs to one.
  client.onerror = () => {}
  await client.connect(new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${port}/mcp`)) as never)
  t.after(() => client.close())
  return client
}

/** Starts the gateway of the examples in its own process. */
export async function startGateway(t: TestContext) {
  const port = await freePort()
  const cache = mkdtempSync(join(tmpdir(), 'npm-'))
  const env = {
    ...process.env,
    PORT: String(port),
    PASSES_MS: '30000',
    // npx contacts no registry and writes nothing to the home directory.
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
    /** All living processes that requests have started. */
    running: () => treeOf(keeper as number).slice(1)
  }
}

export type Gateway = Awaited<ReturnType<typeof startGateway>>

/** Resolves with npx, its shell and the MCP server when all three run. */
export async function wholeTree({ running }: Gateway): Promise<Identity[]> {
  const names = (): string =>
    running()
      .map(({ pid }) => argumentsOf(pid).join(' '))
      .join('\n')
  // busybox's shell does not wait for the server, but becomes the server.
  await eventually('npx, its shell and the server run', () =>
    /^npm exec.*\n(sh -c .*\n)?(?!sh -c).*node.* \S*mcp-server\.js$/.test(names())
  )
  return running()
}

export async function assertAllGone(gateway: Gateway, tree: readonly Identity[] = []): Promise<void> {
  await eventually('npx, its shell and the server are gone', () => !tree.some(isAlive))
  await eventually('nothing runs', () => gateway.running().length === 0)
}

export function add(client: Client, a: number, b: number) {
  return client.callTool({ name: 'add', arguments: { a, b } }, undefined, { timeout })
}

export function hang(client: Client) {
  return client.callTool({ name: 'hang', arguments: {} }, undefined, { timeout })
}

/** Makes so many calls in sequence, and asserts after each that none of its processes is left. */
export async function callAndLeaveNothing(t: TestContext, count: number): Promise<void> {
  const gateway = await startGateway(t)
  const client = await connectTo(t, gateway.port)
  for (let i = 0; i < count; i++) {
    const { content } = await add(client, i, 1)
    assert.deepEqual(content, [{ type: 'text', text: String(i + 1) }])
    await assertAllGone(gateway)
  }
}
