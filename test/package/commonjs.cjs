/** A server of a CommonJS module: prints its answers. */

const assert = require('node:assert/strict')
const Fastify = require('fastify')
const subprocessGuard = require('fastify-subprocess-guard')

async function main() {
  assert.equal(typeof subprocessGuard.default, 'function')
  const app = Fastify()
  // As it is, without `.default`: Fastify takes a module for its default export.
  app.register(subprocessGuard, { timeout: 60_000 })
  app.get('/spawns', async (request) => request.spawn('echo', ['spawned']).stdout)
  app.get('/hangs', { config: { subprocessGuard: { timeout: 200 } } }, async (request) => {
    // It holds this program's stdout: who reads that to its end has waited for the end of `sleep`.
    request.spawn('sleep', ['60'], { stdio: ['ignore', 'inherit', 'ignore'] })
    await new Promise(() => {})
  })
  for (const path of ['/spawns', '/hangs']) {
    const answer = await app.inject(path)
    console.log(answer.statusCode, answer.body)
  }
  await app.close()
}

main()
