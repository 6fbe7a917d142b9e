/** A server in an ES module that prints its answers. */

import Fastify from 'fastify'
import subprocessGuard from 'fastify-subprocess-guard'

const app = Fastify()
await app.register(subprocessGuard, { timeout: 60_000 })
app.get('/spawns', async (request) => request.spawn('echo', ['spawned']).stdout)
app.get('/hangs', { config: { subprocessGuard: { timeout: 200 } } }, async (request) => {
  // `sleep` holds the stdout of this program, so that reading it to its end also waits for `sleep`.
  request.spawn('sleep', ['60'], { stdio: ['ignore', 'inherit', 'ignore'] })
  await new Promise(() => {})
})
const address = await app.listen({ port: 0, host: '127.0.0.1' })
for (const path of ['/spawns', '/hangs']) {
  const answer = await fetch(address + path)
  console.log(answer.status, await answer.text())
}
await app.close()
