/** Fifty calls through the MCP gateway of the examples (docs/faults.md, 84). */

import { test } from 'node:test'
import { callAndLeaveNothing } from '../harness/mcp.js'

test('an MCP gateway answers fifty calls and leaves nothing of them', async (t) => {
  await Promise.all([callAndLeaveNothing(t, 25), callAndLeaveNothing(t, 25)])
})
