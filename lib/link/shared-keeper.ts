/** The keeper of this worker: one, however many guards use it, and another one when it is lost. */

import { SubprocessError, SubprocessOptionError } from '../errors.js'
import type { Logger } from '../log.js'
import { whyNoNode, whyUnsupported } from '../platform/current.js'
import { Heartbeat } from '../watch/heartbeat.js'
import { markName, markOf, ownMark, workerScope } from '../wire/mark.js'
import type { Containment, WorkerSettings } from '../wire/messages.js'
import { findEntry } from './keeper-file.js'
import { KeeperLink, type Say } from './keeper-link.js'
import { outsideRequests } from './outside-requests.js'
import { refuseInPlaceOfKeeper } from './refuse-as-keeper.js'

// A keeper that lived this long was not lost for a reason that is still there.
const longLifeMs = 10_000
// How long the worker does without when one keeper after the other is lost at once.
const firstPauseMs = 500
const longestPauseMs = 30_000

/** What a guard asks of the keeper, and hears of it. */
export interface KeeperUser {
  readonly settings: WorkerSettings
  /** The URL of a module of hooks. */
  readonly hooks: string | undefined
  /** Where the keeper's file is; undefined for where this package has it. */
  readonly keeperPath: string | undefined
  readonly log: Logger
  /** The route of a value that is a request; undefined for whatever else. */
  routeOf(value: unknown): string | undefined
  /** A keeper was lost, with all scopes that it had. */
  keeperLost(link: KeeperLink): void
}

/** A share in the worker's keeper; the last one to be given back ends it. */
export class KeeperShare {
  readonly #shared: SharedKeeper
  readonly #user: KeeperUser

  /** @internal */
  constructor(shared: SharedKeeper, user: KeeperUser) {
    this.#shared = shared
    this.#user = user
  }

  /** The keeper there is now. One that is lost takes no orders. */
  get link(): KeeperLink {
    return this.#shared.link
  }

  /** The keeper that has the rights which the worker has now; it is started if need be. */
  checkedLink(): KeeperLink {
    return this.#shared.present()
  }

  /** The same without a look at these rights, for what is looked at before it goes out. */
  uncheckedLink(): KeeperLink {
    const { link } = this
    return link.isRetired ? this.checkedLink() : link
  }

  /** That of the last keeper that was ready. */
  get containment(): Containment {
    return this.#shared.containment
  }

  /** How long it is until there is another keeper, in ms; 0 when there is one. */
  get nextKeeperInMs(): number {
    return this.#shared.nextKeeperInMs
  }

  async release(): Promise<void> {
    await this.#shared.release(this.#user)
  }
}

class SharedKeeper {
  link: KeeperLink
  containment: Containment = 'marks'
  readonly #keeperPath: string | undefined
  readonly #users = new Set<KeeperUser>()
  /** Those whose rights the worker has no longer, and that end with what they run. */
  readonly #retired = new Set<KeeperLink>()
  readonly #workerMark = ownMark()
  /** What this worker's own environment had, if it runs in a scope of another one. */
  readonly #outerMark = process.env[markName]
  readonly #heart = new Heartbeat(
    () => this.link,
    (value) => this.#routeOf(value)
  )
  #startedAt = 0
  #quickLosses = 0
  #pause: { readonly timer: NodeJS.Timeout; readonly until: number } | undefined
  #state: 'new' | 'serving' | 'over' = 'new'

  constructor(keeperPath: string | undefined) {
    this.#keeperPath = keeperPath
    this.link = this.#start()
  }

  present(): KeeperLink {
    // Where none could be started the last time.
    if (!this.link.hasRights) this.#succeed()
    return this.link
  }

  get nextKeeperInMs(): number {
    return this.#pause === undefined ? 0 : Math.max(0, Math.ceil(this.#pause.until - performance.now()))
  }

  /** Resolves when the keeper serves the user. Rejects, and forgets the user, when it does not. */
  async join(user: KeeperUser): Promise<void> {
    this.#users.add(user)
    try {
      this.#refuseOtherTimeout(user)
      this.#refuseOtherPath(user)
      await this.#presentReady()
      if (user.hooks !== undefined) await this.#addHooks(user.hooks)
    } catch (error) {
      // Another guard may have the same module.
      await this.release(user, false)
      throw error
    }
    if (this.#state === 'new') this.#serve()
    this.#settle()
  }

  /** Resolves when the keeper is ready that has the worker's rights. These may change until then. */
  async #presentReady(): Promise<void> {
    let link: KeeperLink
    do {
      link = this.present()
      await link.ready.catch((error: unknown) => {
        if (link === this.link) throw error
      })
    } while (link !== this.present())
  }

  async release(user: KeeperUser, hasHooks = user.hooks !== undefined): Promise<void> {
    this.#users.delete(user)
    if (user.hooks !== undefined && hasHooks) this.link.removeHooks(user.hooks)
    this.#settle()
    if (this.#users.size > 0) return
    this.#end()
    await Promise.all([this.link, ...this.#retired].map((link) => link.end()))
  }

  #serve(): void {
    this.#state = 'serving'
    // What the worker starts behind the guard's back inherits this, and goes with a crashed worker, too.
    process.env[markName] = markOf(this.#workerMark, workerScope)
    const { containment, why } = this.link
    if (containment !== 'subreaper') {
      const consequence = 'a daemon that leaves its session and empties its environment can escape'
      this.#log?.warn({ containment, why }, `subprocess containment is "${containment}": ${consequence}`)
    }
    if (process.pid === 1) {
      const consequence =
        'orphans become its children, and it never collects them when they end; when it hangs, nobody in its ' +
        'container can end it (workerTimeout)'
      const wayOut = 'run an init in front of it, such as `docker run --init` or tini'
      this.#log?.warn({}, `this worker is process 1: ${consequence}; ${wayOut}`)
    }
  }

  /** One of the guards' logs, for what concerns them all. */
  get #log(): Logger | undefined {
    for (const { log } of this.#users) return log
    return undefined
  }

  #routeOf(value: unknown): string | undefined {
    for (const user of this.#users) {
      const route = user.routeOf(value)
      if (route !== undefined) return route
    }
    return undefined
  }

  #refuseOtherTimeout({ settings: { workerTimeoutMs } }: KeeperUser): void {
    for (const { settings } of this.#users) {
      const other = settings.workerTimeoutMs
      if (other === undefined || workerTimeoutMs === undefined || other === workerTimeoutMs) continue
      const wayOut = `another guard of this worker has ${other}: set both to the same, or one alone`
      throw new SubprocessOptionError('workerTimeout', workerTimeoutMs, wayOut)
    }
  }

  #refuseOtherPath({ keeperPath }: KeeperUser): void {
    const { entry } = this.link
    if (keeperPath === undefined || keeperPath === entry) return
    const wayOut = `another guard of this worker has started ${entry}: give the same path to each`
    throw new SubprocessOptionError('keeperPath', keeperPath, wayOut)
  }

  async #addHooks(url: string): Promise<void> {
    const { link } = this
    try {
      await link.addHooks(url)
    } catch (error) {
      if (link !== this.link) return this.#state === 'new' ? this.#addHooks(url) : undefined
      throw new SubprocessOptionError('hooks', url, (error as Error).message)
    }
  }

  /** The longest grace that any guard has, and the only timeout. */
  #settle(): void {
    const all = [...this.#users].map(({ settings }) => settings)
    const [first, ...others] = all
    if (first === undefined) return
    const longest = others.reduce((one, other) => (other.graceMs > one.graceMs ? other : one), first)
    const workerTimeoutMs = all.find((settings) => settings.workerTimeoutMs !== undefined)?.workerTimeoutMs
    this.link.settle({ ...longest, workerTimeoutMs })
    this.#heart.beat(workerTimeoutMs, this.#log)
  }

  #end(): void {
    if (this.#state === 'over') return
    this.#state = 'over'
    if (shared === this) shared = undefined
    this.#heart.stop()
    clearTimeout(this.#pause?.timer)
    if (process.env[markName] !== markOf(this.#workerMark, workerScope)) return
    if (this.#outerMark === undefined) delete process.env[markName]
    else process.env[markName] = this.#outerMark
  }

  #start(): KeeperLink {
    // Each time: an update may have replaced the file meanwhile.
    const entry = findEntry(this.#keeperPath)
    this.#startedAt = performance.now()
    // It belongs to no request, whichever one noticed that there was none.
    const say: Say = (level, fields, message) => this.#log?.[level](fields, message)
    const onRetired = (): void => this.#succeed()
    const link = outsideRequests(() => new KeeperLink(entry, this.#workerMark, say, onRetired))
    const serve = (): void => {
      this.containment = link.containment as Containment
      this.#heart.attend()
    }
    link.ready.then(serve, () => {})
    link.onLost(() => this.#lose(link))
    return link
  }

  /** The worker has other rights now, and the keeper is to have no more than these. */
  #succeed(): void {
    const { link } = this
    if (link.hasRights || !link.isOpen || this.#state === 'over') return
    try {
      this.link = this.#start()
    } catch (err) {
      this.#log?.error({ err }, "no keeper could be started that has the worker's present rights")
      return
    }
    this.#retired.add(link)
    void link.ended.then(() => this.#retired.delete(link))
    const fields = { keeper: link.pid, next: this.link.pid }
    this.#log?.info(fields, "the worker's rights have changed: another keeper is starting, which has these")
    link.giveWay()
    if (this.#state === 'serving') this.#brief()
  }

  #lose(link: KeeperLink): void {
    // Where the first one does not become ready, there is no guard.
    if (this.#state !== 'serving') return
    this.#log?.error({ keeper: link.pid }, 'the keeper was lost: what it had running is ended')
    for (const user of this.#users) user.keeperLost(link)
    if (link === this.link) this.#replace()
  }

  #replace(): void {
    if (performance.now() - this.#startedAt >= longLifeMs) this.#quickLosses = 0
    const losses = this.#quickLosses++
    const pauseMs = losses === 0 ? 0 : Math.min(longestPauseMs, firstPauseMs * 2 ** (losses - 1))
    if (pauseMs === 0) {
      this.#startAnother()
      return
    }
    const timer = setTimeout(() => this.#startAnother(), pauseMs).unref()
    this.#pause = { timer, until: performance.now() + pauseMs }
  }

  #startAnother(): void {
    this.#pause = undefined
    const lost = this.link
    try {
      this.link = this.#start()
    } catch (err) {
      // Such as an environment that became too large for any process. The lost one refuses as before.
      this.#log?.error({ err }, 'no other keeper could be started')
      this.#replace()
      return
    }
    // It ends what the lost one had running.
    lost.successor = this.link
    this.#log?.warn({ keeper: this.link.pid }, 'another keeper is starting')
    this.#brief()
  }

  /** Tells a keeper that succeeds another one what that had been told. */
  #brief(): void {
    this.#settle()
    for (const { hooks } of this.#users) {
      if (hooks === undefined) continue
      this.link
        .addHooks(hooks)
        .catch((err: unknown) => this.#log?.error({ err }, 'the keeper could not load the hooks'))
    }
  }
}

let shared: SharedKeeper | undefined

/**
 * A share in the keeper of this worker, which is started when it is first asked for. Rejects with
 * `ERR_SUBPROCESS_KEEPER_START`, and with a TypeError for options that do not go with those of another guard.
 */
export async function shareKeeper(user: KeeperUser): Promise<KeeperShare> {
  refuseInPlaceOfKeeper()
  const why = whyUnsupported() ?? whyNoNode()
  if (why !== undefined) throw new SubprocessError('ERR_SUBPROCESS_KEEPER_START', why)
  try {
    shared ??= new SharedKeeper(user.keeperPath)
  } catch (error) {
    throw new SubprocessError('ERR_SUBPROCESS_KEEPER_START', (error as Error).message, error)
  }
  const keeper = shared
  await keeper.join(user)
  return new KeeperShare(keeper, user)
}
