/** Reads all processes with their environments without blocking the event loop. */

import { environments } from './listed-environments.js'
import { list } from './listed-processes.js'

/** They are known for the rest of the turn in which this resolves. */
export async function readAhead(): Promise<void> {
  const keepAll = await Promise.all([list.readAhead(), environments.readAhead()])
  for (const keep of keepAll) keep()
}
