/** The keeper of this worker: one, however many guards use it, and another one when it is lost. */

import { captureIn } from '../capture.js'
import { SubprocessError } from '../errors.js'
import { markName, markOf, workerMarkOf, workerScope } from '../mark.js'
import { KeeperLink } from './link.js'
import type { Containment, WorkerSettings } from './protocol.js'

// A keeper that lived this long was not lost for a reason that is still there.
const longLifeMs = 10_000
// How long the worker does without when one keeper after the other is lost at once.
const firstPauseMs = 500
const longestPauseMs = 30_000

/** What a guard asks of the keeper, and hears of it. */
export interface KeeperUser {
  readonly settings: WorkerSettings
  /** The keeper was lost, with all scopes that it had. */
  keeperLost(): void
  /** There is another keeper. */
  keeperReplaced(): void
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
  readonly users = new Set<KeeperUser>()
  link: KeeperLink
  containment: Containment = 'marks'
  readonly #workerMark = workerMarkOf(process.pid)
  /** What this worker's own environment had, if it runs in a scope of another one. */
  readonly #outerMark = process.env[markName]
  #startedAt = 0
  #quickLosses = 0
  #pause: { readonly timer: NodeJS.Timeout; readonly until: number } | undefined
  #hasServed = false
  #isOver = false

  constructor() {
    this.link = this.#start()
  }

  get absentMs(): number {
    return this.#pause === undefined ? 0 : Math.max(0, Math.ceil(this.#pause.until - performance.now()))
  }

  /** What the worker starts behind the guard's back inherits this, and goes with a crashed worker, too. */
  markWorker(): void {
    process.env[markName] = markOf(this.#workerMark, workerScope)
  }

  /** The longest grace that any guard has. */
  settle(): void {
    const settings = [...this.users].map((user) => user.settings)
    if (settings.length === 0) return
    const longest = settings.reduce((one, other) => (other.graceMs > one.graceMs ? other : one))
    this.link.settle(longest)
  }

  async release(user: KeeperUser): Promise<void> {
    this.users.delete(user)
    this.settle()
    if (this.users.size > 0) return
    this.#end()
    await this.link.end()
  }

  /** Gives it up: the next guard starts another one. */
  withdraw(): void {
    this.#end()
    this.link.end()
  }

  #end(): void {
    if (this.#isOver) return
    this.#isOver = true
    if (shared === this) shared = undefined
    clearTimeout(this.#pause?.timer)
    if (process.env[markName] !== markOf(this.#workerMark, workerScope)) return
    if (this.#outerMark === undefined) delete process.env[markName]
    else process.env[markName] = this.#outerMark
  }

  #start(): KeeperLink {
    this.#startedAt = performance.now()
    // It belongs to no request, whichever one noticed that there was none.
    const link = captureIn(undefined, () => new KeeperLink(this.#workerMark))
    link.ready.then(
      () => {
        this.containment = link.containment as Containment
        this.#hasServed = true
      },
      () => {}
    )
    link.onLost(() => this.#replace())
    return link
  }

  #replace(): void {
    // Where the first one does not become ready, there is no guard.
    if (this.#isOver || !this.#hasServed) return
    for (const user of this.users) user.keeperLost()
    const hasLivedLong = performance.now() - this.#startedAt >= longLifeMs
    if (hasLivedLong) this.#quickLosses = 0
    const pauseMs =
      this.#quickLosses === 0 ? 0 : Math.min(longestPauseMs, firstPauseMs * 2 ** (this.#quickLosses - 1))
    this.#quickLosses++
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
    } catch {
      // Such as an environment that became too large for any process. The lost one refuses as before.
      this.#replace()
      return
    }
    this.settle()
    for (const user of this.users) user.keeperReplaced()
  }
}

let shared: SharedKeeper | undefined

/**
 * A share in the keeper of this worker, which is started when it is first asked for. Rejects with
 * `ERR_SUBPROCESS_KEEPER_START`.
 */
export async function shareKeeper(user: KeeperUser): Promise<KeeperShare> {
  try {
    shared ??= new SharedKeeper()
  } catch (error) {
    throw new SubprocessError('ERR_SUBPROCESS_KEEPER_START', (error as Error).message, error)
  }
  const { link } = shared
  const keeper = shared
  keeper.users.add(user)
  try {
    await link.ready
  } catch (error) {
    keeper.users.delete(user)
    if (keeper.users.size === 0) keeper.withdraw()
    throw error
  }
  keeper.settle()
  keeper.markWorker()
  return new KeeperShare(keeper, user)
}
