/**
 * Calls kill() on commands that do not exist, right after their start. Prints a line if the process survives.
 */

import { createGuard } from 'fastify-subprocess-guard'
import { closed } from './launchers.js'

const guard = await createGuard({ launch: 'direct' })
const scope = guard.open({ timeout: false })
const ends: Promise<void>[] = []
for (let count = 0; count < 100; count++) {
  const child = scope.spawn('no-such-command')
  child.kill()
  child.on('error', () => {})
  ends.push(closed(child))
}
await Promise.all(ends)
await scope.close()
await guard.close()
console.log('still there')
