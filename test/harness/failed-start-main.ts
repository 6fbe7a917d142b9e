/** Calls kill() on commands that failed to start, in the same turn, and says at the end that it is still there. */

import { createGuard } from 'fastify-subprocess-guard'
import { closed } from './launchers.js'

const logger = { info() {}, warn() {}, error() {} }
const guard = await createGuard({ launch: 'direct', logger })
const scope = guard.open({ timeout: false })
const ends: Promise<void>[] = []
for (let count = 0; count < 100; count++) {
  const child = scope.spawn('no-such-command')
  child.kill()
  ends.push(closed(child))
}
await Promise.all(ends)
await scope.close()
await guard.close()
console.log('still there')
