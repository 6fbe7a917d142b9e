/**
 * The census of a subreaper for scopes that have processes which it did not start: those that the worker
 * started, and those that it was told to take in. Their orphans do not come to it, so it looks for them as
 * one must without a subreaper.
 */

import { MarksCensus, type ScanParts } from './marks-census.js'
import type { Census, Member, ScopeRecord } from './scope-record.js'
import type { SubreaperCensus } from './subreaper-census.js'

export class HybridCensus implements Census {
  readonly containment = 'subreaper'
  readonly #adoption: SubreaperCensus
  readonly #scan: MarksCensus

  constructor(adoption: SubreaperCensus, parts: ScanParts) {
    this.#adoption = adoption
    this.#scan = new MarksCensus({
      ...parts,
      isSubreaper: true,
      isOthers: (pid) => adoption.isLeader(pid)
    })
  }

  open(scope: ScopeRecord): void {
    this.#adoption.open(scope)
    this.#scan.open(scope)
  }

  launched(scope: ScopeRecord, pid: number, command: string): void {
    this.#adoption.launched(scope, pid, command)
  }

  leaderEnded(scope: ScopeRecord, pid: number): void {
    this.#adoption.leaderEnded(scope, pid)
  }

  members(scope: ScopeRecord, most?: number, command?: number): Member[] {
    const members = this.#adoption.members(scope, most, command)
    if (!scope.foreign.any) return members
    const known = new Set(members.map(({ stat }) => stat.pid))
    return [
      ...members,
      ...this.#scan.members(scope, most, command).filter(({ stat }) => !known.has(stat.pid))
    ]
  }

  isEmpty(scope: ScopeRecord, command?: number): boolean {
    if (!this.#adoption.isEmpty(scope, command)) return false
    return !scope.foreign.any || this.#scan.isEmpty(scope, command)
  }

  isStill(scope: ScopeRecord, member: Member): boolean {
    if (scope.foreign.any && this.#scan.isStill(scope, member)) return true
    return this.#adoption.isStill(scope, member)
  }

  async changeWithin(scope: ScopeRecord, ms: number): Promise<void> {
    const changes = [this.#adoption.changeWithin(scope, ms)]
    if (scope.foreign.any) changes.push(this.#scan.changeWithin(scope, ms))
    await Promise.race(changes)
  }

  collectLater(ms: number): void {
    this.#adoption.collectLater(ms)
  }

  release(scope: ScopeRecord, pid: number): void {
    this.#scan.release(scope, pid)
    this.#adoption.release(scope, pid)
  }

  letGo(scope: ScopeRecord, pid: number): void {
    this.#scan.letGo(scope, pid)
    this.#adoption.letGo(scope, pid)
  }

  forget(scope: ScopeRecord, hasSurvivors: boolean): void {
    this.#adoption.forget(scope)
    this.#scan.forget(scope, hasSurvivors)
  }
}
