/**
 * A plain `node:http` server: `GET /` lists a directory, `GET /hang` starts a command that never ends.
 *
 * npm run --silent build && PORT=3000 node build/examples/http.js
 */

import { createServer } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { type GuardedRequest, subprocessGuard } from 'fastify-subprocess-guard/express'

const guard = subprocessGuard({ timeout: 2_000 })

const server = createServer((req, res) => {
  // The callback is called once for each request, and again with an error at the deadline.
  guard(req, res, (error) => {
    const answered = error === undefined ? handle(req as GuardedRequest) : Promise.reject(error)
    answered.catch(({ statusCode = 500, message }) => {
      if (res.headersSent) res.destroy()
      else res.writeHead(statusCode, { 'content-type': 'text/plain' }).end(`${message}\n`)
    })
  })

  async function handle({ url, subprocesses }: GuardedRequest): Promise<void> {
    if (url === '/hang') {
      subprocesses.spawn('sh', ['-c', 'trap "" TERM; sleep 1000 & sleep 1000'], { stdio: 'ignore' })
      return
    }
    const list = subprocesses.stream('ls', ['-l', '/'])
    await list.ready
    res.setHeader('content-type', 'text/plain')
    await pipeline(list, res)
  }
})

server.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => console.log('listening'))

process.once('SIGTERM', async () => {
  server.close()
  await guard.close()
})
