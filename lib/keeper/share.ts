/** The keeper of this worker: one, however many guards use it, and another one when it is lost. */

import { captureIn } from '../capture.js'
import { SubprocessError, SubprocessOptionError } from '../errors.js'
import type { Logger } from '../log.js'
import { markName, markOf, ownMark, workerScope } from '../mark.js'
import { Heart } from '../watch/heart.js'
import { KeeperLink, type Say } from './link.js'
import type { Containment, WorkerSettings } from './protocol.js'

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
  readonly log: Logger
  /** The route of a value that is a request; undefined for whatever else. */
  routeOf(value: unknown): string | undefined
  /** The keeper was lost, with all scopes that it had. */
  keeperLost(): void
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

  /** That of the last keeper that was ready. */
  get containment(): Containment {
    return this.#shared.containment
  }

  /** How long it is until there is another keeper, in ms; 0 when there is one. */
  get absentMs(): number {
    return this.#shared.absentMs
  }

  async release(): Promise<void> {
    await this.#shared.release(this.#user)
  }
}

class SharedKeeper {
  link: KeeperLink
  containment: Containment = 'marks'
  readonly #users = new Set<KeeperUser>()
  readonly #workerMark = ownMark()
  /** What this worker's own environment had, if it runs in a scope of another one. */
  readonly #outerMark = process.env[markName]
  readonly #heart = new Heart(
    () => this.link,
    (value) => this.#routeOf(value)
  )
  #startedAt = 0
  #quickLosses = 0
  #pause: { readonly timer: NodeJS.Timeout; readonly until: number } | undefined
  #state: 'new' | 'serving' | 'over' = 'new'

  constructor() {
    this.link = this.#start()
  }

  get absentMs(): number {
    return this.#pause === undefined ? 0 : Math.max(0, Math.ceil(this.#pause.until - performance.now()))
  }

  /** Resolves when the keeper serves the user. Rejects, and forgets the user, when it does not. */
  async join(user: KeeperUser): Promise<void> {
    this.#users.add(user)
    try {
      this.#refuseOtherTimeout(user)
      await this.link.ready
      if (user.hooks !== undefined) await this.#addHooks(user.hooks)
    } catch (error) {
      // Another guard may have the same module.
      await this.release(user, false)
      throw error
    }
    if (this.#state === 'new') this.#serve()
    this.#settle()
  }

  async release(user: KeeperUser, hasHooks = user.hooks !== undefined): Promise<void> {
    this.#users.delete(user)
    if (user.hooks !== undefined && hasHooks) this.link.removeHooks(user.hooks)
    this.#settle()
    if (this.#users.size > 0) return
    this.#end()
    await this.link.end()
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

  async #addHooks(url: string): Promise<void> {
    try {
      await this.link.addHooks(url)
    } catch (error) {
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
    this.#startedAt = performance.now()
    // It belongs to no request, whichever one noticed that there was none.
    const say: Say = (level, fields, message) => this.#log?.[level](fields, message)
    const link = captureIn(undefined, () => new KeeperLink(this.#workerMark, say))
    const serve = (): void => {
      this.containment = link.containment as Containment
      this.#heart.attend()
    }
    link.ready.then(serve, () => {})
    link.onLost(() => this.#replace())
    return link
  }

  #replace(): void {
    // Where the first one does not become ready, there is no guard.
    if (this.#state !== 'serving') return
    this.#log?.error({ keeper: this.link.pid }, 'the keeper was lost: the worker ends what it had running')
    for (const user of this.#users) user.keeperLost()
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
    try {
      this.link = this.#start()
    } catch (err) {
      // Such as an environment that became too large for any process. The lost one refuses as before.
      this.#log?.error({ err }, 'no other keeper could be started')
      this.#replace()
      return
    }
    this.#log?.warn({ keeper: this.link.pid }, 'another keeper is starting')
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
  try {
    shared ??= new SharedKeeper()
  } catch (error) {
    throw new SubprocessError('ERR_SUBPROCESS_KEEPER_START', (error as Error).message, error)
  }
  const keeper = shared
  await keeper.join(user)
  return new KeeperShare(keeper, user)
}
