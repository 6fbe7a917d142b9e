/**
 * Runs in its own network namespace. A client sends a request that never ends, and then all
 * packets are lost: the client vanishes without closing the connection. Prints the time until
 * the process of its request was gone, in ms.
 */

import { execFileSync } from 'node:child_process'
import { connect } from 'node:net'
import { serve } from './server.js'

execFileSync('ip', ['link', 'set', 'lo', 'up'])
const served = await serve({ guard: { timeout: false } }, (app, served) => {
  app.get('/waits', async (request) => {
    served.run(request, 'waits.sh')
    await new Promise(() => {})
  })
})
const client = connect(served.port, '127.0.0.1')
client.on('error', () => {})
client.write('GET /waits HTTP/1.1\r\nhost: test\r\n\r\n')
await served.witness.present(1)
execFileSync('ip', ['link', 'set', 'lo', 'down'])
const vanishedAt = performance.now()
const isGone = await served.witness.goneWithin(Number(process.env.GONE_WITHIN_MS))
console.log(isGone ? Math.round(performance.now() - vanishedAt) : 'still there')
client.destroy()
await served.close()
process.exit()
