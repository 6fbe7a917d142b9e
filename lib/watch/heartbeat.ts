/** The worker's heartbeat: shows the keeper that the event loop runs, and starts the watch thread. */

import type { Logger } from '../log.js'
import { heartbeatIntervalMs } from '../wire/heartbeat-interval.js'
import { type RouteLookup, registerRouteLookup } from './route-lookup.js'
import { WatchThread } from './watch-thread.js'

/** What the heartbeat needs of the link to a keeper. */
export interface HeartbeatReceiver {
  /** The file of the keeper, which the watch thread runs too. */
  readonly entry: string
  /** Where the watch thread connects to the keeper. Undefined until the keeper is ready. */
  readonly watchTarget: { readonly path: string; readonly header: string } | undefined
  sendHeartbeat(): void
}

export class Heartbeat {
  readonly #link: () => HeartbeatReceiver
  readonly #routeOf: RouteLookup
  #timeoutMs: number | undefined
  #timer: NodeJS.Timeout | undefined
  #watchThread: WatchThread | undefined
  #unregisterLookup = (): void => {}

  /**
   * `link` returns the link to the current keeper. `routeOf` returns the route of a value that is a request.
   */
  constructor(link: () => HeartbeatReceiver, routeOf: RouteLookup) {
    this.#link = link
    this.#routeOf = routeOf
  }

  /** Starts for a keeper that considers the worker hung after this many ms of silence. Undefined: stops. */
  start(timeoutMs: number | undefined, log: Logger | undefined): void {
    if (timeoutMs === this.#timeoutMs) return
    this.stop()
    this.#timeoutMs = timeoutMs
    if (timeoutMs === undefined) return
    // The heartbeat does not keep the worker alive.
    this.#timer = setInterval(() => this.#link().sendHeartbeat(), heartbeatIntervalMs(timeoutMs)).unref()
    this.#unregisterLookup = registerRouteLookup(this.#routeOf)
    this.#watchThread = WatchThread.start(this.#link().entry, (why) => {
      const consequence =
        'a hung worker is still ended, but without a stack trace, and one that a debugger has paused counts as hung'
      log?.warn({ why }, `the event loop is not watched by a thread: ${consequence}`)
    })
    this.connectWatchThread()
  }

  /** Connects the watch thread to the current keeper, once that is ready. */
  connectWatchThread(): void {
    const target = this.#link().watchTarget
    if (target !== undefined) this.#watchThread?.connect(target.path, target.header)
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#unregisterLookup()
    this.#watchThread?.stop()
    this.#watchThread = undefined
    this.#timeoutMs = undefined
  }
}
