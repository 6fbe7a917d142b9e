/** Signs of life: the worker's event loop gives them to its keeper, and a thread tells where it hangs when they cease. */

import type { KeeperLink } from '../keeper/link.js'
import { beatMsOf } from '../keeper/watchdog.js'
import type { Logger } from '../log.js'
import { type RouteLookup, registerRouteLookup } from './route-lookup.js'
import { Watcher } from './watcher.js'

export class Heart {
  readonly #link: () => KeeperLink
  readonly #routeOf: RouteLookup
  #timeoutMs: number | undefined
  #timer: NodeJS.Timeout | undefined
  #watcher: Watcher | undefined
  #stopLookups = (): void => {}

  /** `link` is that of the keeper there is now; `routeOf` tells which values are requests. */
  constructor(link: () => KeeperLink, routeOf: RouteLookup) {
    this.#link = link
    this.#routeOf = routeOf
  }

  /** Beats for a keeper that takes the worker for hung after so many ms of silence; not at all without them. */
  beat(timeoutMs: number | undefined, log: Logger | undefined): void {
    if (timeoutMs === this.#timeoutMs) return
    this.stop()
    this.#timeoutMs = timeoutMs
    if (timeoutMs === undefined) return
    // No reason for the worker to stay.
    this.#timer = setInterval(() => this.#link().beat(), beatMsOf(timeoutMs)).unref()
    this.#stopLookups = registerRouteLookup(this.#routeOf)
    this.#watcher = Watcher.start((why) => {
      const consequence = 'a hung worker is ended all the same, but nobody can say where it hung'
      log?.warn(
        { why },
        `the event loop is not watched by a thread: ${consequence}, nor that a debugger holds it`
      )
    }, this.#link().entry)
    this.attend()
  }

  /** There is another keeper, or this one has become ready. */
  attend(): void {
    const point = this.#link().watchPoint
    if (point !== undefined) this.#watcher?.attend(point.path, point.header)
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#stopLookups()
    this.#watcher?.stop()
    this.#watcher = undefined
    this.#timeoutMs = undefined
  }
}
