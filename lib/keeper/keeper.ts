/** The keeper: carries out what the worker asks, and ends everything when the worker is gone. */

import { rm } from 'node:fs/promises'
import { AdoptionCensus } from '../containment/adoption.js'
import { type Census, ScopeRecord } from '../containment/members.js'
import { MixedCensus } from '../containment/mixed.js'
import { ScanCensus } from '../containment/scan.js'
import { terminate } from '../containment/terminate.js'
import { markOf } from '../mark.js'
import type { Libc } from '../platform/libc.js'
import { processOf } from '../platform/linux.js'
import { Launch, type LaunchEvents } from './launch.js'
import type { EndedProcess, KeeperMessage, KeeperReport, LeftFolder, WorkerMessage } from './protocol.js'
import type { StdioDoor } from './stdio-door.js'

// For what no scope of the worker can have started, so that there are no options of its own to follow.
const strayGraceMs = 2_000
// How often the trees of processes that the keeper did not start are looked at while their scope is open, so
// that a process of theirs is known when its parent is gone.
const foreignLookMs = 1_000

export interface KeeperParts {
  readonly libc: Libc | undefined
  readonly isSubreaper: boolean
  /** What the marks of all scopes of this worker begin with. */
  readonly workerMark: string
  readonly door: StdioDoor
  /** Whether the worker is dead: what it asked for before may still be on its way. */
  readonly isWorkerGone: () => boolean
  /** Sends a message to the worker. */
  readonly send: (message: KeeperMessage) => void
  /** Says that processes of unknown origin were ended. */
  readonly sayStrays: (processes: readonly EndedProcess[]) => void
}

export class Keeper {
  readonly census: Census
  readonly #parts: KeeperParts
  readonly #scopes = new Map<number, ScopeRecord>()
  readonly #launches = new Map<number, Launch>()
  /** The launches that wait for a connection, by its number. */
  readonly #expecting = new Map<number, Launch>()
  readonly #strays: ScopeRecord
  #isEndingStrays = false
  #foreignLooks: NodeJS.Timeout | undefined
  readonly #launchEvents: LaunchEvents

  constructor(parts: KeeperParts) {
    const { libc, isSubreaper, workerMark, send } = parts
    this.#parts = parts
    this.#strays = new ScopeRecord(0, `${workerMark}/stray`, strayGraceMs, 'SIGTERM', libc)
    const scan = new ScanCensus()
    this.census =
      libc !== undefined && isSubreaper
        ? new MixedCensus(new AdoptionCensus(libc, this.#strays, () => void this.#endStrays()), scan)
        : scan
    this.#launchEvents = {
      spawned: (launch, pid) => {
        this.census.launched(launch.scope, pid, launch.command)
        this.#expectNoMore(launch)
        send({ type: 'spawned', id: launch.id, pid })
      },
      failed: (launch, failure) => {
        this.#expectNoMore(launch)
        this.#launches.delete(launch.id)
        send({ type: 'failed', id: launch.id, failure })
      },
      exited: ({ id, scope }, pid, code, signal) => {
        this.#launches.delete(id)
        this.census.leaderEnded(scope, pid)
        send({ type: 'exited', id, code, signal })
      }
    }
  }

  receive(message: WorkerMessage): void {
    switch (message.type) {
      case 'open':
        this.#open(message)
        break
      case 'launch':
        this.#launch(message)
        break
      case 'stdio-lost':
        this.#launches.get(message.id)?.abandon(message.code)
        break
      case 'signal':
        this.#launches.get(message.id)?.signal(message.signal)
        break
      case 'adopt':
        this.#adopt(message)
        break
      case 'left':
        this.#scopes.get(message.scope)?.foreign.forget(message.pid)
        break
      case 'release':
        this.#release(message)
        break
      case 'folder':
        this.#scopes.get(message.scope)?.folders.push(message.path)
        break
      case 'list':
        this.#list(message)
        break
      case 'close':
        this.#close(message.scope)
    }
  }

  /** A stdio connection has come: the launch that waits for it may start. */
  connectionArrived(connection: number): void {
    this.#expecting.get(connection)?.startWhenConnected(this.#parts.door)
  }

  /**
   * Closes every scope that is still open and resolves with what was found in them, when all of it is gone
   * or named as left.
   */
  async endAll(): Promise<KeeperReport> {
    const scopes = [...this.#scopes.values()].filter((scope) => scope.state === 'open')
    // All gates first: an orphan of unknown origin is ended at once when no open scope can claim it.
    for (const scope of scopes) this.#gate(scope)
    const reports = await Promise.all(scopes.map((scope) => this.#end(scope)))
    reports.push(await this.#end(this.#strays))
    return {
      processes: reports.flatMap(({ processes }) => processes),
      leftFolders: reports.flatMap(({ leftFolders }) => leftFolders)
    }
  }

  #open({ scope: number, graceMs, killSignal }: WorkerMessage & { type: 'open' }): void {
    const { libc, workerMark } = this.#parts
    const scope = new ScopeRecord(number, markOf(workerMark, number), graceMs, killSignal, libc)
    this.#scopes.set(number, scope)
    this.census.open(scope)
  }

  #launch({ id, scope: number, request }: WorkerMessage & { type: 'launch' }): void {
    const scope = this.#scopes.get(number)
    // The end of the socket comes after all that was written to it, which may take long to start, and for nobody.
    if (scope?.state !== 'open' || this.#parts.isWorkerGone()) {
      const message = `spawn ${request.file} ECANCELED`
      this.#parts.send({ type: 'failed', id, failure: { code: 'ECANCELED', message } })
      return
    }
    const launch = new Launch(id, scope, request, this.#launchEvents)
    this.#launches.set(id, launch)
    for (const connection of launch.connections) this.#expecting.set(connection, launch)
    launch.startWhenConnected(this.#parts.door)
  }

  #adopt({ scope: number, process }: WorkerMessage & { type: 'adopt' }): void {
    const scope = this.#scopes.get(number)
    if (scope === undefined) return
    scope.foreign.adopt(process)
    this.#foreignLooks ??= setInterval(() => this.#lookAtForeign(), foreignLookMs)
  }

  #lookAtForeign(): void {
    const scopes = [...this.#scopes.values()].filter((scope) => scope.foreign.any)
    for (const scope of scopes) if (scope.state === 'open') scope.foreign.look()
    if (scopes.length > 0) return
    clearInterval(this.#foreignLooks)
    this.#foreignLooks = undefined
  }

  #release({ scope: number, pid }: WorkerMessage & { type: 'release' }): void {
    const scope = this.#scopes.get(number)
    if (scope?.release(pid)) this.census.release(scope, pid)
  }

  #list({ id, scope: number }: WorkerMessage & { type: 'list' }): void {
    const scope = this.#scopes.get(number)
    const members = scope === undefined ? [] : this.census.members(scope)
    const living = members.filter(({ stat }) => stat.alive)
    this.#parts.send({ type: 'listed', id, processes: living.map(({ stat }) => processOf(stat)) })
  }

  #expectNoMore(launch: Launch): void {
    for (const connection of launch.connections) {
      this.#expecting.delete(connection)
      this.#parts.door.take(connection)?.destroy()
    }
  }

  #close(number: number): void {
    const scope = this.#scopes.get(number)
    if (scope?.state !== 'open') return
    this.#gate(scope)
    void this.#end(scope).then((report) => this.#parts.send({ type: 'closed', scope: number, report }))
  }

  /** From here on the scope starts nothing. */
  #gate(scope: ScopeRecord): void {
    scope.state = 'closing'
    for (const launch of this.#launches.values()) if (launch.scope === scope) launch.abandon('ECANCELED')
  }

  async #end(scope: ScopeRecord): Promise<KeeperReport> {
    const processes = await terminate(this.census, scope, this.#parts.libc)
    scope.state = 'closed'
    this.census.forget(scope)
    scope.foreign.close()
    this.#scopes.delete(scope.number)
    const left = await Promise.all(scope.folders.map(removeFolder))
    return { processes, leftFolders: left.filter((folder) => folder !== undefined) }
  }

  async #endStrays(): Promise<void> {
    if (this.#isEndingStrays) return
    this.#isEndingStrays = true
    const { processes } = await this.#end(this.#strays)
    this.#isEndingStrays = false
    if (processes.length > 0) this.#parts.sayStrays(processes)
  }
}

async function removeFolder(path: string): Promise<LeftFolder | undefined> {
  try {
    await rm(path, { recursive: true, force: true })
    return undefined
  } catch (error) {
    return { path, why: (error as Error).message }
  }
}
