/**
 * A gateway that serves an MCP server with stdio transport over streamable HTTP, at `POST /mcp`. It is
 * stateless: each request starts its own server with `npx`, which ends with the request.
 *
 * npm run --silent build && PORT=3000 node build/examples/mcp-gateway.js
 */

import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import subprocessGuard, { type SubprocessError } from 'fastify-subprocess-guard'

/** A JSON-RPC message from a client or a server. */
interface Message {
  readonly jsonrpc: '2.0'
  readonly id?: string | number
  readonly method?: string
  readonly params?: object
  readonly result?: object
  readonly error?: { readonly code: number; readonly message: string }
}

// Usually a package name: `npx --yes @modelcontextprotocol/server-everything`.
const command = [
  '--no',
  '-c',
  `"${process.execPath}" "${fileURLToPath(new URL('mcp-server.js', import.meta.url))}"`
]
const greeting: Message = {
  jsonrpc: '2.0',
  id: 'greeting of the gateway',
  method: 'initialize',
  params: {
    protocolVersion: '2025-06-18',
    capabilities: {},
    clientInfo: { name: 'mcp-gateway', version: '1.0.0' }
  }
}
// Error codes, as in the MCP SDK.
const requestTimeout = -32001
const internalError = -32603

/** Undefined if the line is no message, for example a log line. */
function messageIn(line: string): Message | undefined {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

const app = Fastify()
await app.register(subprocessGuard, { timeout: 30_000, grace: 1_000 })

app.post<{ Body: Message }>('/mcp', async (req, reply) => {
  const { id, method } = req.body
  // A notification needs no response, and its server has already ended.
  if (id === undefined) return reply.code(202).send()

  reply.hijack()
  const res = reply.raw
  res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' }).flushHeaders()
  const send = (message: Message): void => {
    if (!res.writableEnded && !res.destroyed)
      res.write(`event: message\ndata: ${JSON.stringify(message)}\n\n`)
  }
  const fail = (code: number, message: string): void => {
    send({ jsonrpc: '2.0', id, error: { code, message } })
    res.end()
  }
  // Sends an error at the deadline and at shutdown. Otherwise the client would wait for its own timeout.
  const { signal } = req.subprocesses
  signal.addEventListener('abort', () => fail(requestTimeout, (signal.reason as SubprocessError).message))

  const server = req.spawn('npx', command, { stdio: ['pipe', 'pipe', 'inherit'] })
  server.once('error', () => fail(internalError, 'The MCP server could not be started'))
  server.once('close', () => fail(internalError, 'The MCP server has ended'))
  // The server may end before it has read everything. The 'close' handler reports that.
  server.stdin.on('error', () => {})
  const write = (message: Message): void => void server.stdin.write(`${JSON.stringify(message)}\n`)

  // A new server must be initialized before any other request.
  write(method === 'initialize' ? req.body : greeting)
  const lines = createInterface({ input: server.stdout })
  // Reading may fail when the request ends. By then, the response has ended.
  lines.on('error', () => {})
  lines.on('line', (line) => {
    const message = messageIn(line)
    if (message === undefined) return
    if (message.id === greeting.id) {
      write({ jsonrpc: '2.0', method: 'notifications/initialized' })
      write(req.body)
      return
    }
    send(message)
    // This is the response. Earlier messages were notifications, for example about progress.
    if (message.id === id && message.method === undefined) res.end()
  })
})

app.get('/mcp', (_req, reply) => reply.code(405).send())
app.delete('/mcp', (_req, reply) => reply.code(405).send())

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void app.close())
await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) })
console.log('listening')
