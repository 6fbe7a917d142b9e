/** The guard: all open scopes of a worker, and its share in the keeper. */

import { SubprocessError } from './errors.js'
import { type KeeperLink, type KeeperShare, shareKeeper } from './keeper/link.js'
import type { Containment } from './keeper/protocol.js'
import { type Logger, Scope, type ScopeContext } from './scope.js'

const told = new WeakSet<KeeperLink>()

export class Guard {
  readonly #share: KeeperShare
  readonly #scopes = new Set<Scope>()
  readonly #keeperLost: (() => void)[] = []
  readonly #stopListening: () => void
  #state: 'open' | 'refusing' | 'closed' = 'open'
  #closing: Promise<void> | undefined
  #lastScope = 0

  /** Starts the keeper, or shares the one of this worker. Rejects with `ERR_SUBPROCESS_KEEPER_START`. */
  static async start(log: Logger): Promise<Guard> {
    const share = await shareKeeper()
    const { containment, why } = share.link
    if (containment !== 'subreaper' && !told.has(share.link)) {
      told.add(share.link)
      const consequence = 'a daemon that leaves its session and empties its environment can escape'
      log.warn({ containment, why }, `subprocess containment is "${containment}": ${consequence}`)
    }
    return new Guard(share)
  }

  private constructor(share: KeeperShare) {
    this.#share = share
    this.#stopListening = share.link.onLost(() => {
      for (const callback of this.#keeperLost) callback()
      for (const scope of this.#scopes) void scope.close('keeper-lost')
    })
  }

  /** How the processes of a scope are found on this machine: `subreaper`, or the weaker `marks`. */
  get containment(): Containment {
    return this.#share.link.containment
  }

  /** Process id of the keeper. */
  get keeper(): number {
    return this.#share.link.pid
  }

  /** The scopes that are not closed yet. */
  scopes(): Scope[] {
    return [...this.#scopes]
  }

  /** @internal Calls back before the scopes close with `keeper-lost`. */
  onKeeperLost(callback: () => void): void {
    this.#keeperLost.push(callback)
  }

  /** @internal Opens a scope. Throws when the guard is closed or its keeper is lost. */
  open(context: ScopeContext): Scope {
    if (this.#state !== 'open') throw new SubprocessError('ERR_SUBPROCESS_SHUTDOWN')
    if (!this.#share.link.isOpen) throw new SubprocessError('ERR_SUBPROCESS_KEEPER_LOST')
    const scope = new Scope(`${process.pid}.${++this.#lastScope}`, this.#share.link, context)
    this.#scopes.add(scope)
    void scope.closed.then(() => this.#scopes.delete(scope))
    return scope
  }

  /** Opens no more scopes. */
  refuse(): void {
    if (this.#state === 'open') this.#state = 'refusing'
  }

  /**
   * Closes every scope with `shutdown` and resolves when all their processes are gone, and the keeper too
   * unless another guard uses it.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.refuse()
    await Promise.all(this.scopes().map((scope) => scope.close('shutdown')))
    this.#state = 'closed'
    this.#stopListening()
    await this.#share.release()
  }
}
