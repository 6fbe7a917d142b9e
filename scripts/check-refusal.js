// On a system that is not supported, registration fails with a clear error, and the process ends by itself.
import assert from 'node:assert/strict'
import Fastify from 'fastify'
import subprocessGuard from 'fastify-subprocess-guard'

const app = Fastify()
app.register(subprocessGuard)
await assert.rejects(async () => app.ready(), {
  code: 'ERR_SUBPROCESS_KEEPER_START',
  message: new RegExp(`${process.platform} is not supported`)
})
console.log('registration was refused, as it should be')
