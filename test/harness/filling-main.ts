/** A server that holds much memory. One of its routes runs a command that wants all of it. */

import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import subprocessGuard, { type SubprocessGuardOptions } from 'fastify-subprocess-guard'

const [bytes = '0', options = '{}'] = process.argv.slice(2)
const held = Buffer.alloc(Number(bytes), 1)

const app = Fastify()
await app.register(subprocessGuard, JSON.parse(options) as SubprocessGuardOptions)
app.get('/held', async () => held.length)
app.get('/fill', async ({ subprocesses }) => {
  // tail keeps a line until it has the end of it.
  const line = 'head -c 4000000000 /dev/zero | tail -n 1 >/dev/null; echo "$?"'
  const { stdout } = await subprocesses.execFile('sh', ['-c', line])
  return { status: Number(stdout) }
})
await app.listen({ port: 0, host: '127.0.0.1' })
const { port } = app.server.address() as AddressInfo
console.log(JSON.stringify({ port, keeper: app.subprocessGuard.keeper }))
