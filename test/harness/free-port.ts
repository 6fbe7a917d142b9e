/** A free port for a server that cannot report which one it got. */

import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

// Below the range from which Linux assigns ports by itself, so no other process gets it in the meantime.
const [lowest, highest] = [10_000, 32_000]

export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(lowest, highest)
    const server = createServer().listen(port, '127.0.0.1')
    try {
      await once(server, 'listening')
    } catch {
      // Already in use.
      continue
    }
    server.close()
    await once(server, 'close')
    return port
  }
}
