/**
 * A gateway that serves an MCP server of standard input and output over streamable HTTP, at `POST /mcp`. It keeps no
 * sessions: each request has a server of its own, started by `npx`, which ends with the request.
 *
 * npm run --silent build && PORT=3000 node build/examples/mcp-gateway.js
 */

import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import subprocessGuard, { type SubprocessError } from 'fastify-subprocess-guard'

/** What a client sends, and what a server answers. */
interface Message {
  readonly jsonrpc: '2.0'
  readonly id?: string | number
  readonly method?: string
  readonly params?: object
  readonly result?: object
  readonly error?: { readonly code: number; readonly message: string }
}

// Usually the name of a package: `npx --yes @modelcontextprotocol/server-everything`.
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
// Codes of errors, as the SDK of MCP has them.
const requestTimeout = -32001
const internalError = -32603

/** Undefined for what is no message, such as a line that was meant for a log. */
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
  // A notification needs no answer, and the server that it is for has ended.
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
  // The last word at the deadline and at shutdown. Without it the client waits for its own timeout.
  const { signal } = req.subprocesses
  signal.addEventListener('abort', () => fail(requestTimeout, (signal.reason as SubprocessError).message))

  const server = req.spawn('npx', command, { stdio: ['pipe', 'pipe', 'inherit'] })
  server.once('error', () => fail(internalError, 'The MCP server could not be started'))
  server.once('close', () => fail(internalError, 'The MCP server has ended'))
  // It may end before it has read everything, which 'close' tells of.
  server.stdin.on('error', () => {})
  const tell = (message: Message): void => void server.stdin.write(`${JSON.stringify(message)}\n`)

  // A server that is new wants to be greeted before it is asked for anything else.
  tell(method === 'initialize' ? req.body : greeting)
  const lines = createInterface({ input: server.stdout })
  // Its output may fail when the request ends. By then the last word has been said.
  lines.on('error', () => {})
  lines.on('line', (line) => {
    const message = messageIn(line)
    if (message === undefined) return
    if (message.id === greeting.id) {
      tell({ jsonrpc: '2.0', method: 'notifications/initialized' })
      tell(req.body)
      return
    }
    send(message)
    // The answer. What came before was progress.
    if (message.id === id && message.method === undefined) res.end()
  })
})

app.get('/mcp', (_req, reply) => reply.code(405).send())
app.delete('/mcp', (_req, reply) => reply.code(405).send())

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void app.close())
await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) })
console.log('listening')
