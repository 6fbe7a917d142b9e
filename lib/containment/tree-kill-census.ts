/**
 * The census where processes cannot be listed. It knows the commands of the keeper, what was adopted, and which of their
 * groups have members. What has left these groups is found by `tree-kill`, as long as its ancestors run.
 */

import pTimeout from 'p-timeout'
import { killTree, type ProcessStat, type ProcessUsage } from '../platform/current.js'
import type { Census, Member } from './census.js'
import { isEmptyGroup, pidExists, processKey } from './process-identity.js'
import type { ScopeRecord } from './scope-record.js'

// How often to forget empty groups, whose numbers may then be given to others, in ms.
const forgetMs = 1_000
const longestPauseMs = 50
// It runs one program for each process.
const treeKillMs = 5_000

export class TreeKillCensus implements Census {
  readonly containment = 'tree'
  readonly #scopes = new Set<ScopeRecord>()
  #timer: NodeJS.Timeout | undefined

  open(scope: ScopeRecord): void {
    this.#scopes.add(scope)
    this.#timer ??= setInterval(() => this.#forgetEmptyGroups(), forgetMs).unref()
  }

  leaderStarted(scope: ScopeRecord, pid: number, command: string): void {
    scope.addLeader(pid, command)
    scope.inspectLeader(pid)
  }

  leaderEnded(scope: ScopeRecord, pid: number, usage: ProcessUsage | undefined): void {
    scope.removeLeader(pid, usage, isEmptyGroup)
  }

  /** A group that outlives its leader is shown as its leader. The number is not given to another process until it is empty. */
  members(scope: ScopeRecord, _most?: number, command?: number): Member[] {
    const groups = [...scope.groups.keys()].filter((group) => !isEmptyGroup(group))
    return [...new Set([...rootsOf(scope), ...groups])]
      .map((pid) => assumedStat(pid, scope))
      .filter((stat) => command === undefined || scope.commands.numberOf(stat) === command)
      .map((stat) => ({ stat, isOwnChild: true }))
  }

  isEmpty(scope: ScopeRecord, command?: number): boolean {
    return this.members(scope, undefined, command).length === 0
  }

  confirmIdentity(): boolean {
    return false
  }

  /** Signals what descends from the commands, and these too, before any of them ends and leaves the rest unknown. */
  async signalDescendants(scope: ScopeRecord, signal: NodeJS.Signals, command?: number): Promise<void> {
    const members = this.members(scope, undefined, command)
    const roots = new Set(rootsOf(scope))
    const signalled = members.filter(({ stat }) => roots.has(stat.pid))
    await Promise.all(
      signalled.map(async ({ stat }) => {
        try {
          await pTimeout(killTree(stat.pid, signal), { milliseconds: treeKillMs })
          scope.firstSignalled.add(processKey(stat))
        } catch {
          // Its group is signalled all the same.
        }
      })
    )
  }

  /** The scope has forgotten the process already, and nothing here finds it again. */
  release(): void {}

  releaseExternal(): void {}

  waitForChange(_scope: ScopeRecord, ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, Math.min(ms, longestPauseMs)))
  }

  close(scope: ScopeRecord): void {
    this.#scopes.delete(scope)
  }

  #forgetEmptyGroups(): void {
    for (const scope of this.#scopes) {
      for (const group of scope.groups.keys()) {
        if (!scope.leaders.has(group)) scope.forgetGroupIfEmpty(group, isEmptyGroup)
      }
    }
  }
}

/** The processes of the scope that the keeper started or that were adopted. */
function rootsOf(scope: ScopeRecord): number[] {
  return [...scope.leaders.keys(), ...scope.external.pids().filter(pidExists)]
}

function assumedStat(pid: number, scope: ScopeRecord): ProcessStat {
  return {
    pid,
    name: String(pid),
    state: '?',
    parent: process.pid,
    group: pid,
    session: pid,
    startTick: scope.groups.get(pid)?.startTick ?? 0,
    cpuTicks: 0,
    threads: 1,
    image: '',
    alive: true,
    ending: false
  }
}
