/** Starts the keeper of the worker, and replaces it when it is lost or when the worker's rights change. */

import type { Logger } from '../log.js'
import { findEntry } from './keeper-file.js'
import { KeeperLink } from './keeper-link.js'
import type { WriteLog } from './launch-queue.js'
import { RestartBackoff } from './restart-backoff.js'
import { outsideRequests } from './run-outside-requests.js'
import type { KeeperStart } from './spawn-keeper.js'

/** How each keeper of the worker is started. */
export interface KeeperSettings extends Pick<KeeperStart, 'workerMark' | 'noNewPrivileges'> {
  /** Undefined for the file of this package. */
  readonly keeperPath: string | undefined
}

/** Receives the events of each keeper. */
export interface KeeperOwner {
  /** A log of any guard. Undefined while there is none. */
  readonly log: Logger | undefined
  /** A keeper has become ready. */
  keeperReady(link: KeeperLink): void
  /** A keeper was lost, with all that it had running. */
  keeperLost(link: KeeperLink): void
  /** `link` is another keeper: it needs the settings and hooks that the one before it had. */
  keeperReplaced(link: KeeperLink): void
}

export class ReplaceableKeeper {
  readonly #settings: KeeperSettings
  readonly #owner: KeeperOwner
  #link: KeeperLink
  /** Keepers with rights that the worker has no longer. Each ends when it runs nothing more. */
  readonly #retired = new Set<KeeperLink>()
  readonly #backoff = new RestartBackoff()
  #pause: { readonly timer: NodeJS.Timeout; readonly until: number } | undefined
  /** `new`: no keeper has become ready yet, and a lost one is not replaced. */
  #state: 'new' | 'serving' | 'stopped' = 'new'

  /** Starts the first keeper. Throws if there is no file of a keeper, or if `child_process.spawn` throws. */
  constructor(settings: KeeperSettings, owner: KeeperOwner) {
    this.#settings = settings
    this.#owner = owner
    this.#link = this.#start()
  }

  /** The current keeper. One that is lost stays current until it is replaced. */
  get link(): KeeperLink {
    return this.#link
  }

  get isNew(): boolean {
    return this.#state === 'new'
  }

  /** The current keeper, after a check of the worker's rights. If they have changed, starts another one. */
  checkedLink(): KeeperLink {
    // Again, in case no keeper could be started the last time.
    if (!this.#link.hasRights) this.#replaceRetired()
    return this.#link
  }

  /** Time until the next keeper starts, in ms; 0 if no start is scheduled. */
  get nextKeeperInMs(): number {
    return this.#pause === undefined ? 0 : Math.max(0, Math.ceil(this.#pause.until - performance.now()))
  }

  /** From now on a lost keeper is replaced. */
  serve(): void {
    this.#state = 'serving'
  }

  /** Replaces no keeper from now on. */
  stop(): void {
    this.#state = 'stopped'
    clearTimeout(this.#pause?.timer)
  }

  /** Ends all keepers. Resolves when their processes have ended. */
  async end(): Promise<void> {
    await Promise.all([this.#link, ...this.#retired].map((link) => link.end()))
  }

  #start(): KeeperLink {
    // Search again each time: an update may have replaced the file.
    const { keeperPath, workerMark, noNewPrivileges } = this.#settings
    const entry = findEntry(keeperPath)
    this.#backoff.started()
    const log: WriteLog = (level, fields, message) => this.#owner.log?.[level](fields, message)
    const onRetired = (): void => this.#replaceRetired()
    // The keeper belongs to no request, even if a request has found that it is missing.
    const link = outsideRequests(() => new KeeperLink({ entry, workerMark, noNewPrivileges }, log, onRetired))
    link.ready.then(
      () => this.#owner.keeperReady(link),
      () => {}
    )
    link.onLost(() => this.#onLost(link))
    return link
  }

  /** The worker's rights have changed: starts a keeper that has no others. */
  #replaceRetired(): void {
    const retired = this.#link
    if (retired.hasRights || !retired.isOpen || this.#state === 'stopped') return
    try {
      this.#link = this.#start()
    } catch (err) {
      this.#owner.log?.error({ err }, "no keeper could be started with the worker's present rights")
      return
    }
    this.#retired.add(retired)
    void retired.ended.then(() => this.#retired.delete(retired))
    const fields = { keeper: retired.pid, next: this.#link.pid }
    const message = "the worker's rights have changed: another keeper is starting with the new rights"
    this.#owner.log?.info(fields, message)
    retired.endWhenUnused()
    if (this.#state === 'serving') this.#owner.keeperReplaced(this.#link)
  }

  #onLost(link: KeeperLink): void {
    // If the first keeper does not become ready, no guard is created.
    if (this.#state !== 'serving') return
    const message = 'the keeper was lost: everything that it had running is ended'
    this.#owner.log?.error({ keeper: link.pid }, message)
    this.#owner.keeperLost(link)
    if (link === this.#link) this.#replaceLost()
  }

  #replaceLost(): void {
    const pauseMs = this.#backoff.nextPauseMs()
    if (pauseMs === 0) {
      this.#startNext()
      return
    }
    const timer = setTimeout(() => this.#startNext(), pauseMs).unref()
    this.#pause = { timer, until: performance.now() + pauseMs }
  }

  #startNext(): void {
    this.#pause = undefined
    const lost = this.#link
    try {
      this.#link = this.#start()
    } catch (err) {
      // For example, the environment has become too large for any process. The lost keeper goes on to refuse
      // orders.
      this.#owner.log?.error({ err }, 'no other keeper could be started')
      this.#replaceLost()
      return
    }
    // It ends what the lost keeper had running.
    lost.successor = this.#link
    this.#owner.log?.warn({ keeper: this.#link.pid }, 'another keeper is starting')
    this.#owner.keeperReplaced(this.#link)
  }
}
