/** Refuses to run in a process that was started as a keeper but runs another program. */

import { SubprocessError } from '../errors.js'
import { keeperMarkName } from '../wire/mark.js'

/**
 * Throws if this process was started as a keeper: a server that was mistaken for its own keeper would start a
 * keeper in turn, without end. Only a keeper has the variable; processes that it starts do not inherit it.
 */
export function refuseInPlaceOfKeeper(): void {
  if (process.env[keeperMarkName] === undefined) return
  const program = process.argv.slice(0, 2).join(' ')
  throw new SubprocessError(
    'ERR_SUBPROCESS_KEEPER_START',
    `${program} was started as the keeper of process ${process.ppid} (${keeperMarkName} is in its environment), ` +
      'but is another program: run the server with Node.js, and see "Bundling" in docs/deployment.md'
  )
}
