/**
 * The subreaper census for scopes that may also have external processes: those that the worker started, and
 * those that the scope adopted. Their orphans do not become children of the keeper, so a marks census finds
 * them, as without a subreaper.
 */

import type { ProcessUsage } from '../platform/current.js'
import type { Census, Member } from './census.js'
import { MarksCensus, type MarksCensusParts } from './marks-census.js'
import type { ScopeRecord } from './scope-record.js'
import type { SubreaperCensus } from './subreaper-census.js'

export class HybridCensus implements Census {
  readonly containment = 'subreaper'
  readonly #subreaper: SubreaperCensus
  readonly #marks: MarksCensus

  constructor(subreaper: SubreaperCensus, parts: MarksCensusParts) {
    this.#subreaper = subreaper
    this.#marks = new MarksCensus({
      ...parts,
      isSubreaper: true,
      isElsewhere: (pid) => subreaper.isLeader(pid)
    })
  }

  open(scope: ScopeRecord): void {
    this.#subreaper.open(scope)
    this.#marks.open(scope)
  }

  leaderStarted(scope: ScopeRecord, pid: number, command: string): void {
    this.#subreaper.leaderStarted(scope, pid, command)
  }

  leaderEnded(scope: ScopeRecord, pid: number, usage: ProcessUsage | undefined): void {
    this.#subreaper.leaderEnded(scope, pid, usage)
  }

  members(scope: ScopeRecord, most?: number, command?: number): Member[] {
    const members = this.#subreaper.members(scope, most, command)
    if (!scope.external.hadAny) return members
    const known = new Set(members.map(({ stat }) => stat.pid))
    return [
      ...members,
      ...this.#marks.members(scope, most, command).filter(({ stat }) => !known.has(stat.pid))
    ]
  }

  knownMembers(scope: ScopeRecord): Member[] {
    const members = this.#subreaper.members(scope)
    if (!scope.external.hadAny) return members
    const known = new Set(members.map(({ stat }) => stat.pid))
    return [...members, ...this.#marks.knownMembers(scope).filter(({ stat }) => !known.has(stat.pid))]
  }

  isEmpty(scope: ScopeRecord, command?: number): boolean {
    if (!this.#subreaper.isEmpty(scope, command)) return false
    return !scope.external.hadAny || this.#marks.isEmpty(scope, command)
  }

  confirmIdentity(scope: ScopeRecord, member: Member): boolean {
    if (scope.external.hadAny && this.#marks.confirmIdentity(scope, member)) return true
    return this.#subreaper.confirmIdentity(scope, member)
  }

  async waitForChange(scope: ScopeRecord, ms: number): Promise<void> {
    const changes = [this.#subreaper.waitForChange(scope, ms)]
    if (scope.external.hadAny) changes.push(this.#marks.waitForChange(scope, ms))
    await Promise.race(changes)
  }

  delayReaping(ms: number): void {
    this.#subreaper.delayReaping(ms)
  }

  release(scope: ScopeRecord, pid: number): void {
    this.#marks.release(scope, pid)
    this.#subreaper.release(scope, pid)
  }

  releaseExternal(scope: ScopeRecord, pid: number): void {
    this.#marks.releaseExternal(scope, pid)
    this.#subreaper.releaseExternal(scope, pid)
  }

  close(scope: ScopeRecord, hasSurvivors: boolean): void {
    this.#subreaper.close(scope)
    this.#marks.close(scope, hasSurvivors)
  }
}
