/** Refuses to go on in a process that was started as a keeper and is another program. */

import { SubprocessError } from '../errors.js'
import { keeperMarkName } from '../wire/mark.js'

/**
 * Throws where this process was started in place of a keeper: a server that was taken for its own keeper
 * would start the next one, and so on without end. Only a keeper has the variable: nothing that it starts
 * inherits it.
 */
export function refuseInPlaceOfKeeper(): void {
  if (process.env[keeperMarkName] === undefined) return
  const program = process.argv.slice(0, 2).join(' ')
  throw new SubprocessError(
    'ERR_SUBPROCESS_KEEPER_START',
    `${program} was started as the keeper of process ${process.ppid} (${keeperMarkName} is in its environment), and is another program: ` +
      'run the server by Node.js, and see "Bundling" in docs/deployment.md'
  )
}
