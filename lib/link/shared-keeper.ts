/** The keeper that all guards of a worker share: it starts with the first guard and ends with the last. */

import { type Containment, isWeaker } from '../containment-level.js'
import { SubprocessError, SubprocessOptionError } from '../errors.js'
import { levelToTry } from '../level-to-try.js'
import type { Logger } from '../log.js'
import { loadPlatform, platform, whyUnsupportedRuntime } from '../platform/current.js'
import { Heartbeat } from '../watch/heartbeat.js'
import { ownMark } from '../wire/mark.js'
import type { KeeperClient } from './keeper-client.js'
import type { KeeperLink } from './keeper-link.js'
import { OwnEnvironmentMark } from './mark-own-environment.js'
import {
  mergeWorkerSettings,
  refuseOtherPath,
  refuseOtherPrivileges,
  refuseOtherTimeout,
  refuseWeakContainment
} from './merge-worker-settings.js'
import { refuseInPlaceOfKeeper } from './refuse-as-keeper.js'
import { type KeeperOwner, ReplaceableKeeper } from './replace-keeper.js'
import { warnAtStart } from './warn-at-start.js'

/** A guard's share in the worker's keeper. The keeper ends when the last share is released. */
export class KeeperShare {
  readonly #shared: SharedKeeper
  readonly #client: KeeperClient

  /** @internal */
  constructor(shared: SharedKeeper, client: KeeperClient) {
    this.#shared = shared
    this.#client = client
  }

  /** The current keeper. One that is lost takes no orders. */
  get link(): KeeperLink {
    return this.#shared.keeper.link
  }

  /** The current keeper, after a check of the worker's rights. If they have changed, starts another one. */
  checkedLink(): KeeperLink {
    return this.#shared.keeper.checkedLink()
  }

  /** `checkedLink` without the check, for launches: the link checks the rights itself before it sends one. */
  uncheckedLink(): KeeperLink {
    const { link } = this
    return link.isRetired ? this.checkedLink() : link
  }

  /** The containment of the last keeper that has become ready. */
  get containment(): Containment {
    return this.#shared.containment
  }

  /** Time until a lost keeper is replaced, in ms; 0 if no start is scheduled. */
  get nextKeeperInMs(): number {
    return this.#shared.keeper.nextKeeperInMs
  }

  /** Gives the share back. Resolves when the keeper has ended, if this was the last share. */
  async release(): Promise<void> {
    await this.#shared.release(this.#client)
  }
}

class SharedKeeper implements KeeperOwner {
  containment: Containment = 'tree'
  readonly keeper: ReplaceableKeeper
  readonly #clients = new Set<KeeperClient>()
  readonly #environmentMark: OwnEnvironmentMark
  readonly #heartbeat = new Heartbeat(
    () => this.keeper.link,
    (value) => this.#routeOf(value)
  )
  #hasEnded = false

  constructor({ keeperPath, noNewPrivileges }: KeeperClient) {
    levelToTry()
    const workerMark = ownMark()
    this.#environmentMark = new OwnEnvironmentMark(workerMark)
    this.keeper = new ReplaceableKeeper({ keeperPath, workerMark, noNewPrivileges }, this)
  }

  /** Resolves when the keeper serves the client. If it does not, rejects and forgets it. */
  async join(client: KeeperClient): Promise<void> {
    this.#clients.add(client)
    try {
      refuseOtherTimeout(this.#clients, client)
      refuseOtherPrivileges(this.#clients, client)
      refuseOtherPath(this.keeper.link.entry, client)
      await this.#waitUntilReady()
      refuseWeakContainment(this.keeper.link, client)
      if (client.hooks !== undefined) await this.#addHooks(client.hooks)
    } catch (error) {
      // The hooks are not removed: another guard may have the same module.
      await this.release(client, false)
      throw error
    }
    if (this.keeper.isNew) this.#serve()
    this.#applySettings()
  }

  async release(client: KeeperClient, hasHooks = client.hooks !== undefined): Promise<void> {
    this.#clients.delete(client)
    if (client.hooks !== undefined && hasHooks) this.keeper.link.removeHooks(client.hooks)
    this.#applySettings()
    if (this.#clients.size > 0) return
    this.#end()
    await this.keeper.end()
  }

  /** The log of any guard, for events that concern all of them. */
  get log(): Logger | undefined {
    for (const { log } of this.#clients) return log
    return undefined
  }

  keeperReady(link: KeeperLink): void {
    this.containment = link.containment as Containment
    this.#reportWeakContainment(link)
    this.#heartbeat.connectWatchThread()
  }

  keeperLost(link: KeeperLink): void {
    for (const client of this.#clients) client.keeperLost(link)
  }

  keeperReplaced(link: KeeperLink): void {
    this.#applySettings()
    for (const { hooks } of this.#clients) {
      if (hooks === undefined) continue
      link
        .addHooks(hooks)
        .catch((err: unknown) => this.log?.error({ err }, 'the keeper could not load the hooks'))
    }
  }

  /** Registration cannot fail any more: a keeper that replaces another one serves, whatever its level. */
  #reportWeakContainment({ containment, whyNotBest: why }: KeeperLink): void {
    if (containment === undefined || this.keeper.isNew) return
    for (const { containment: least, log } of this.#clients) {
      if (!isWeaker(containment, least)) continue
      log.error(
        { containment, why },
        `the next keeper has containment "${containment}", below the required "${least}"`
      )
    }
  }

  /** Resolves when the keeper that has the worker's rights is ready. The rights may change until then. */
  async #waitUntilReady(): Promise<void> {
    let link: KeeperLink
    do {
      link = this.keeper.checkedLink()
      await link.ready.catch((error: unknown) => {
        if (link === this.keeper.link) throw error
      })
    } while (link !== this.keeper.checkedLink())
  }

  async #addHooks(url: string): Promise<void> {
    const { link } = this.keeper
    try {
      await link.addHooks(url)
    } catch (error) {
      // The keeper was replaced meanwhile. `keeperReplaced` adds the hooks again, except before the first
      // guard is served.
      if (link !== this.keeper.link) return this.keeper.isNew ? this.#addHooks(url) : undefined
      throw new SubprocessOptionError('hooks', url, (error as Error).message)
    }
  }

  /** The first guard is served from now on. */
  #serve(): void {
    this.keeper.serve()
    this.#environmentMark.set()
    warnAtStart(this.keeper.link, this.log)
  }

  #applySettings(): void {
    const settings = mergeWorkerSettings(this.#clients)
    if (settings === undefined) return
    this.keeper.link.setWorkerSettings(settings)
    this.#heartbeat.start(settings.workerTimeoutMs, this.log)
  }

  #end(): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    if (shared === this) shared = undefined
    this.#heartbeat.stop()
    this.keeper.stop()
    this.#environmentMark.restore()
  }

  #routeOf(value: unknown): string | undefined {
    for (const client of this.#clients) {
      const route = client.routeOf(value)
      if (route !== undefined) return route
    }
    return undefined
  }
}

let shared: SharedKeeper | undefined

/**
 * A share in the worker's keeper, which is started if there is none. Rejects with
 * `ERR_SUBPROCESS_KEEPER_START`, or with a `SubprocessOptionError` for options that contradict those of
 * another guard.
 */
export async function shareKeeper(client: KeeperClient): Promise<KeeperShare> {
  refuseInPlaceOfKeeper()
  // Without a wait where it can be done without: the keeper starts with the environment and rights of now.
  if (platform === undefined) await loadPlatform()
  const why = platform.whyUnsupported() ?? whyUnsupportedRuntime()
  if (client.noNewPrivileges && !platform.canDenyPrivileges) {
    const wayOut = 'leave it out: only Linux has it'
    throw new SubprocessOptionError('policy.noNewPrivileges', true, wayOut)
  }
  if (why !== undefined) throw new SubprocessError('ERR_SUBPROCESS_KEEPER_START', why)
  try {
    shared ??= new SharedKeeper(client)
  } catch (error) {
    throw new SubprocessError('ERR_SUBPROCESS_KEEPER_START', (error as Error).message, error)
  }
  const keeper = shared
  await keeper.join(client)
  return new KeeperShare(keeper, client)
}
