/**
 * Asks the worker which process adopts its orphans. The worker finds out by a trial (see `findOrphanAdopter`).
 * The keeper cannot: as a subreaper it adopts its own orphans.
 */

import pTimeout from 'p-timeout'
import type { KeeperMessage } from '../wire/messages.js'

// A worker that is not blocked needs a tenth of a second to find out.
const answerWithinMs = 3_000

export class AdopterRequest {
  readonly #send: (message: KeeperMessage) => void
  #resolve: (pid: number | undefined) => void = () => {}

  constructor(send: (message: KeeperMessage) => void) {
    this.#send = send
  }

  /** Resolves with the pid of the adopter, or undefined when the worker cannot tell. Rejects after 3 s. */
  ask(): Promise<number | undefined> {
    const answer = new Promise<number | undefined>((resolve) => {
      this.#resolve = resolve
    })
    this.#send({ type: 'find-adopter' })
    return pTimeout(answer, { milliseconds: answerWithinMs })
  }

  /** The worker has answered. */
  answer(pid: number | undefined): void {
    this.#resolve(pid)
  }
}
