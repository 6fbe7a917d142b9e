/** Finds the processes of one command of a scope. */

import type { Census, Member, Scanner } from './census.js'
import type { ScopeRecord } from './scope-record.js'

export class CommandCensus implements Scanner {
  readonly command: number
  readonly #census: Census

  constructor(census: Census, command: number) {
    this.#census = census
    this.command = command
  }

  members(scope: ScopeRecord, most?: number): Member[] {
    const members = this.#census.members(scope, most, this.command)
    for (const { stat } of members) scope.commands.noteMember(this.command, stat)
    return members
  }

  isEmpty(scope: ScopeRecord): boolean {
    return this.#census.isEmpty(scope, this.command)
  }

  confirmIdentity(scope: ScopeRecord, member: Member): boolean {
    return this.#census.confirmIdentity(scope, member)
  }

  async prepareScan(): Promise<void> {
    await this.#census.prepareScan?.()
  }

  async signalDescendants(scope: ScopeRecord, signal: NodeJS.Signals): Promise<void> {
    await this.#census.signalDescendants?.(scope, signal, this.command)
  }

  waitForChange(scope: ScopeRecord, ms: number): Promise<void> {
    return this.#census.waitForChange(scope, ms)
  }
}
