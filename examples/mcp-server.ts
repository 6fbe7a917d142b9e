/** A small MCP server with stdio transport. `mcp-gateway.ts` starts it with `npx` for each request. */

import { createInterface } from 'node:readline'

interface Request {
  readonly id?: string | number
  readonly method: string
  readonly params?: {
    readonly protocolVersion?: string
    readonly name?: string
    readonly arguments?: unknown
  }
}

const tools = [
  {
    name: 'add',
    description: 'Adds two numbers.',
    inputSchema: { type: 'object', properties: { a: { type: 'number' }, b: { type: 'number' } } }
  },
  { name: 'hang', description: 'Never answers.', inputSchema: { type: 'object' } }
]

/** The result of a request; undefined if it gets no response. */
function resultOf({ method, params = {} }: Request): object | undefined {
  if (method === 'initialize') {
    const serverInfo = { name: 'example', version: '1.0.0' }
    return { protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo }
  }
  if (method === 'tools/list') return { tools }
  if (method === 'tools/call' && params.name === 'add') {
    const { a, b } = params.arguments as { a: number; b: number }
    return { content: [{ type: 'text', text: String(a + b) }] }
  }
  return undefined
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const request = JSON.parse(line) as Request
  const result = resultOf(request)
  if (result !== undefined) console.log(JSON.stringify({ jsonrpc: '2.0', id: request.id, result }))
})
