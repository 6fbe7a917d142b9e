// A worker of main.js: `server.js TIMEOUT`, or `server.js` for one without a guard. A request names a program and its arguments. `/deadline` has
// that timeout; `/` reaches no deadline.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { subprocessGuard } from 'fastify-subprocess-guard/express'

const timeout = Number(process.argv[2] ?? 0)
const log = ({ why = '' }, message) => console.error(`  ${message} ${why}`)
const logger = { error: log, warn: log, info() {} }

const guards = timeout > 0 ? { '/': guardOf(600_000), '/deadline': guardOf(timeout) } : { '/': noGuard }
const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url, 'http://localhost')
  guards[pathname](request, response, async (error) => {
    try {
      if (error !== undefined) throw error
      const [program, ...args] = searchParams.getAll('command')
      const [code, signal] = await once(request.spawn(program, args, { stdio: 'ignore' }), 'exit')
      response.end(`ended with ${signal ?? code}`)
    } catch ({ statusCode = 500, code }) {
      if (!response.headersSent) response.writeHead(statusCode).end(code)
    }
  })
})
await once(server.listen(0, '127.0.0.1'), 'listening')
const { containment, keeper } = (await guards['/'].ready) ?? {}
console.log(JSON.stringify({ port: server.address().port, containment, keeper }))

function guardOf(timeout) {
  return subprocessGuard({ timeout, grace: 100, logger })
}

function noGuard(request, _, next) {
  request.spawn = spawn
  next()
}
