/** Signs of life: the worker's event loop gives them to its keeper, and a thread tells where it hangs when they cease. */

import type { Logger } from '../log.js'
import { heartbeatIntervalMs } from '../wire/heartbeat-interval.js'
import { type RouteLookup, registerRouteLookup } from './route-lookup.js'
import { WatchThread } from './watch-thread.js'

/** What the heartbeat needs of the link to a keeper. */
export interface HeartbeatReceiver {
  /** The file of the thread that watches. */
  readonly entry: string
  /** Where the thread reaches the keeper; undefined until that is ready. */
  readonly watchPoint: { readonly path: string; readonly header: string } | undefined
  beat(): void
}

export class Heartbeat {
  readonly #link: () => HeartbeatReceiver
  readonly #routeOf: RouteLookup
  #timeoutMs: number | undefined
  #timer: NodeJS.Timeout | undefined
  #watcher: WatchThread | undefined
  #stopLookups = (): void => {}

  /** `link` is that of the keeper there is now; `routeOf` tells which values are requests. */
  constructor(link: () => HeartbeatReceiver, routeOf: RouteLookup) {
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
    this.#timer = setInterval(() => this.#link().beat(), heartbeatIntervalMs(timeoutMs)).unref()
    this.#stopLookups = registerRouteLookup(this.#routeOf)
    this.#watcher = WatchThread.start(this.#link().entry, (why) => {
      const consequence = 'a hung worker is ended all the same, but nobody can say where it hung'
      log?.warn(
        { why },
        `the event loop is not watched by a thread: ${consequence}, nor that a debugger holds it`
      )
    })
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
