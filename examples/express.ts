/**
 * An Express server: `POST /compress` compresses its body, `GET /hang` starts a command that never ends.
 *
 * npm run --silent build && PORT=3000 node build/examples/express.js
 */

import { pipeline } from 'node:stream/promises'
import express, { type ErrorRequestHandler } from 'express'
import { subprocessGuard } from 'fastify-subprocess-guard/express'

const app = express()
const guard = subprocessGuard({ timeout: 30_000 })
app.use(guard)

app.post('/compress', async (req, res) => {
  const gzip = req.subprocesses.stream('gzip', ['-c'], { input: req })
  // If the command fails before its first byte, the response is an error. Later, the connection is cut.
  await gzip.ready
  res.type('application/gzip')
  await pipeline(gzip, res)
})

app.get('/hang', subprocessGuard.route({ timeout: 500, grace: 200 }), (req) => {
  req.spawn('sh', ['-c', 'trap "" TERM; sleep 1000 & sleep 1000'], { stdio: 'ignore' })
})

const sendError: ErrorRequestHandler = ({ statusCode = 500, code, message }, _req, res, next) => {
  if (res.headersSent) next(message)
  else res.status(statusCode).json({ code, message })
}
app.use(sendError)

const server = app.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => console.log('listening'))

process.once('SIGTERM', async () => {
  server.close()
  await guard.close()
})
