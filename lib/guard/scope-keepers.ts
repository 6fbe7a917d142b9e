/** The keepers of one scope: one, or more if the worker's rights change while the scope is open. */

import type { KeeperLink } from '../link/keeper-link.js'
import type { ScopeProcess } from '../platform/current.js'
import { defaultPriority } from '../priority-options.js'
import { sharedTimeOf } from '../time/shared-clock.js'
import type { KeeperReport, ScopeFolder, ScopeOpening } from '../wire/messages.js'
import { endLostScope } from './keeper-loss.js'
import { type OwningScope, ScopeAtKeeper } from './scope-at-keeper.js'
import type { KeeperSource } from './scope-context.js'

export class ScopeKeepers {
  readonly #source: KeeperSource
  readonly #scope: OwningScope
  /** The number of the scope, the same at all its keepers. */
  readonly #number: number
  /** In the order of use; the last one is the current one. */
  readonly #atKeepers = new Map<KeeperLink, ScopeAtKeeper>()

  /** Opens the scope at its first keeper. Throws if there is none. */
  constructor(source: KeeperSource, scope: OwningScope) {
    this.#source = source
    this.#scope = scope
    const link = source.forLaunch()
    this.#number = link.openScope(this.#opening)
    this.#add(link)
  }

  /** See `KeeperSource.forLaunch()`. */
  forLaunch(): ScopeAtKeeper {
    return this.#at(this.#source.forLaunch())
  }

  /** See `KeeperSource.withCurrentRights()`. */
  withCurrentRights(): ScopeAtKeeper {
    return this.#at(this.#source.withCurrentRights())
  }

  get links(): KeeperLink[] {
    return [...this.#atKeepers.keys()]
  }

  has(link: KeeperLink): boolean {
    return this.#atKeepers.has(link)
  }

  sendDeadline(): void {
    for (const link of this.links) link.setDeadline(this.#number, this.#sharedDeadline)
  }

  async list(): Promise<readonly ScopeProcess[]> {
    const lists = await Promise.all(this.links.map((link) => link.list(this.#number)))
    return lists.flat()
  }

  /** Ends all processes of the scope. `folders`: those that a lost keeper can no longer remove. */
  endScope(folders: () => readonly ScopeFolder[]): Promise<KeeperReport[]> {
    return Promise.all(this.links.map((link) => this.#endAt(link, folders)))
  }

  async #endAt(link: KeeperLink, folders: () => readonly ScopeFolder[]): Promise<KeeperReport> {
    const report = await link.closeScope(this.#number)
    if (report !== undefined) return report
    const { processes, context } = this.#scope
    const { deadlineAt, ...opening } = this.#opening
    const lost = { scope: this.#number, opening, ...processes.lostAt(link), folders: folders() }
    return endLostScope(link, lost, context.log)
  }

  #at(link: KeeperLink): ScopeAtKeeper {
    const known = this.#atKeepers.get(link)
    if (known !== undefined) return known
    link.openScope(this.#opening, this.#number)
    return this.#add(link)
  }

  #add(link: KeeperLink): ScopeAtKeeper {
    const atKeeper = new ScopeAtKeeper(link, this.#number, this.#scope, this)
    if (this.#scope.context.limits.scope !== undefined)
      link.onLimitExceeded(this.#number, (exceeded) => this.#scope.limitExceeded(exceeded))
    this.#atKeepers.set(link, atKeeper)
    return atKeeper
  }

  get #opening(): ScopeOpening {
    const { id, context } = this.#scope
    const { route, graceMs, killSignal, firstSignalTo, limits } = context
    const priority = context.priority === defaultPriority ? undefined : context.priority
    const deadlineAt = this.#sharedDeadline
    const { scope: scopeLimits, rlimits } = limits
    return {
      id,
      route,
      graceMs,
      killSignal,
      firstSignalTo,
      priority,
      rlimits,
      limits: scopeLimits,
      deadlineAt
    }
  }

  /** By the clock that worker and keeper share; undefined without a deadline. */
  get #sharedDeadline(): number | undefined {
    const { deadlineAt } = this.#scope.context.deadline
    return Number.isFinite(deadlineAt) ? sharedTimeOf(deadlineAt) : undefined
  }
}
