/** An MCP server on standard input and output. `mcp-gateway.ts` starts it by `npx` for each request. */

import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import { z } from 'zod'

const server = new McpServer({ name: 'example', version: '1.0.0' })

server.registerTool(
  'add',
  { description: 'Adds two numbers.', inputSchema: { a: z.number(), b: z.number() } },
  ({ a, b }) => ({ content: [{ type: 'text', text: String(a + b) }] })
)

server.registerTool('hang', { description: 'Never answers.' }, () => new Promise(() => {}))

await server.connect(new StdioServerTransport())
