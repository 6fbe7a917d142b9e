/**
 * The census of a subreaper for scopes that have processes which it did not start: those that the worker
 * started, and those that it was told to take in. Their orphans do not come to it, so it looks for them as
 * one must without a subreaper.
 */

import { MarksCensus, type MarksCensusParts } from './marks-census.js'
import type { Census, Member, ScopeRecord } from './scope-record.js'
import type { SubreaperCensus } from './subreaper-census.js'

export class HybridCensus implements Census {
  readonly containment = 'subreaper'
  readonly #adoption: SubreaperCensus
  readonly #scan: MarksCensus

  constructor(adoption: SubreaperCensus, parts: MarksCensusParts) {
    this.#adoption = adoption
    this.#scan = new MarksCensus({
      ...parts,
      isSubreaper: true,
      isElsewhere: (pid) => adoption.isLeader(pid)
    })
  }

  open(scope: ScopeRecord): void {
    this.#adoption.open(scope)
    this.#scan.open(scope)
  }

  leaderStarted(scope: ScopeRecord, pid: number, command: string): void {
    this.#adoption.leaderStarted(scope, pid, command)
  }

  leaderEnded(scope: ScopeRecord, pid: number): void {
    this.#adoption.leaderEnded(scope, pid)
  }

  members(scope: ScopeRecord, most?: number, command?: number): Member[] {
    const members = this.#adoption.members(scope, most, command)
    if (!scope.external.hadAny) return members
    const known = new Set(members.map(({ stat }) => stat.pid))
    return [
      ...members,
      ...this.#scan.members(scope, most, command).filter(({ stat }) => !known.has(stat.pid))
    ]
  }

  isEmpty(scope: ScopeRecord, command?: number): boolean {
    if (!this.#adoption.isEmpty(scope, command)) return false
    return !scope.external.hadAny || this.#scan.isEmpty(scope, command)
  }

  confirmIdentity(scope: ScopeRecord, member: Member): boolean {
    if (scope.external.hadAny && this.#scan.confirmIdentity(scope, member)) return true
    return this.#adoption.confirmIdentity(scope, member)
  }

  async waitForChange(scope: ScopeRecord, ms: number): Promise<void> {
    const changes = [this.#adoption.waitForChange(scope, ms)]
    if (scope.external.hadAny) changes.push(this.#scan.waitForChange(scope, ms))
    await Promise.race(changes)
  }

  delayReaping(ms: number): void {
    this.#adoption.delayReaping(ms)
  }

  release(scope: ScopeRecord, pid: number): void {
    this.#scan.release(scope, pid)
    this.#adoption.release(scope, pid)
  }

  releaseExternal(scope: ScopeRecord, pid: number): void {
    this.#scan.releaseExternal(scope, pid)
    this.#adoption.releaseExternal(scope, pid)
  }

  close(scope: ScopeRecord, hasSurvivors: boolean): void {
    this.#adoption.close(scope)
    this.#scan.close(scope, hasSurvivors)
  }
}
