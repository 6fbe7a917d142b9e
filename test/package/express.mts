/** An Express server in TypeScript that prints its answers. */

import type { AddressInfo } from 'node:net'
import express, { type ErrorRequestHandler } from 'express'
import { subprocessGuard } from 'fastify-subprocess-guard/express'

const app = express()
const silent = () => {}
const guard = subprocessGuard({ timeout: 60_000, logger: { info: silent, warn: silent, error: silent } })
app.use(guard)
app.get('/spawns', (req, res) => {
  const echo = req.spawn('echo', ['spawned'], { stdio: ['ignore', 'pipe', 'inherit'] })
  echo.stdout.pipe(res)
})
app.get('/hangs', subprocessGuard.route({ timeout: 200 }), (req) => {
  // `sleep` holds the stdout of this program, so that reading it to its end also waits for `sleep`.
  req.spawn('sleep', ['60'], { stdio: ['ignore', 'inherit', 'ignore'] })
})
const sendError: ErrorRequestHandler = ({ statusCode, code, message }, _req, res, _next) => {
  res.status(statusCode).json({ code, message })
}
app.use(sendError)

// @ts-expect-error: a timeout is a number of ms.
if (process.argv.includes('never')) subprocessGuard({ timeout: 'soon' })

const server = app.listen(0, '127.0.0.1', async () => {
  const { port } = server.address() as AddressInfo
  for (const path of ['/spawns', '/hangs']) {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`)
    console.log(answer.status, await answer.text())
  }
  server.close()
  await guard.close()
})
