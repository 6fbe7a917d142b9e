/**
 * The MCP gateway of the examples, used with the official client, answers calls and leaves nothing
 * (docs/faults.md, 84).
 */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { EmptyResultSchema } from '@modelcontextprotocol/sdk/types.js'
import { distantMs, passDeadlines } from './harness/deadlines.js'
import { assertGone } from './harness/expectations.js'
import {
  add,
  assertAllGone,
  callAndLeaveNothing,
  connectTo,
  hang,
  startGateway,
  timeout,
  wholeTree
} from './harness/mcp.js'
import { serve } from './harness/server.js'
import { shareKeeper } from './harness/shared-keeper.js'

shareKeeper()

const never = (): Promise<never> => new Promise(() => {})

suite('an MCP gateway', () => {
  test('lists its tools, answers calls, and leaves no npx, shell or MCP server', async (t) => {
    const gateway = await startGateway(t)
    const client = await connectTo(t, gateway.port)
    const { tools } = await client.listTools()
    assert.deepEqual(
      tools.map(({ name }) => name),
      ['add', 'hang']
    )
    await assertAllGone(gateway)
    await callAndLeaveNothing(t, 3)
  })

  test('answers a call with an error at its deadline and leaves nothing', async (t) => {
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

  test('leaves nothing of a call whose client disconnects', async (t) => {
    const gateway = await startGateway(t)
    const client = await connectTo(t, gateway.port)
    const call = hang(client)
    call.catch(() => {})
    const tree = await wholeTree(gateway)
    await client.close()
    await assertAllGone(gateway, tree)
    const { content } = await add(await connectTo(t, gateway.port), 1, 1)
    assert.deepEqual(content, [{ type: 'text', text: '2' }])
  })
})

suite('a last word that a gateway writes to an MCP client when the scope’s signal aborts', () => {
  for (const writeMethod of ['write', 'end'] as const) {
    for (const when of ['in the listener', 'in a promise that follows'] as const) {
      test(`by ${writeMethod}(), ${when}, arrives`, async (t) => {
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
            const writeLast = (): void => {
              const last = { jsonrpc: '2.0', id, error: { code: -32001, message: 'the last word' } }
              reply.raw[writeMethod](`event: message\ndata: ${JSON.stringify(last)}\n\n`)
            }
            request.subprocesses.signal.addEventListener('abort', () => {
              if (when === 'in the listener') writeLast()
              else void Promise.resolve().then(writeLast)
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
