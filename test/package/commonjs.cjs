/** A server in a CommonJS module that prints its answers. */

const assert = require('node:assert/strict')
const Fastify = require('fastify')
const subprocessGuard = require('fastify-subprocess-guard')

async function main() {
  assert.equal(typeof subprocessGuard.default, 'function')
  const app = Fastify()
  // Without `.default`: Fastify uses the default export of a module itself.
  app.register(subprocessGuard, { timeout: 60_000 })
  app.get('/spawns', async (request) => request.spawn('echo', ['spawned']).stdout)
  app.get('/hangs', { config: { subprocessGuard: { timeout: 200 } } }, async (request) => {
    // `sleep` holds the stdout of this program, so that reading it to its end also waits for `sleep`.
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
