/** The keeper: carries out what the worker asks, and ends everything when the worker is gone. */

import { basename } from 'node:path'
import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises'
import pTimeout from 'p-timeout'
import { CommandCensus } from '../containment/command-census.js'
import { HybridCensus } from '../containment/hybrid-census.js'
import { MarksCensus } from '../containment/marks-census.js'
import { OrphanAdopter } from '../containment/orphan-adopter.js'
import { noteRelease, noteReleasedProcess, releasedProcesses } from '../containment/release-registry.js'
import { KeptFolders, removeFolders } from '../containment/scope-folders.js'
import { type Census, type Member, ScopeRecord } from '../containment/scope-record.js'
import { SubreaperCensus } from '../containment/subreaper-census.js'
import { terminate, unseenLine } from '../containment/terminate.js'
import { WorkerRecord } from '../containment/worker-record.js'
import {
  isOutOfDescriptors,
  type Libc,
  processOf,
  type ScopeProcess,
  squattedLine,
  statOf
} from '../platform/current.js'
import { ExpiryQueue } from '../time/expiry-queue.js'
import { scopeFolderPrefix } from '../wire/folder-names.js'
import { markOf, workerIn } from '../wire/mark.js'
import type {
  EndedProcess,
  KeeperMessage,
  KeeperReport,
  LaunchRequest,
  ScopeFolder,
  WorkerMessage
} from '../wire/messages.js'
import type { WorkerStatus } from '../wire/worker-status.js'
import { KeeperScope } from './keeper-scope.js'
import { Launch, type LaunchEvents } from './launch.js'
import type { Start } from './process-starter.js'
import type { StdioServer } from './stdio-server.js'

// How often the trees of processes that the keeper did not start are looked at while their scope is open, so
// that a process of theirs is known when its parent is gone.
const foreignLookMs = 1_000
// Where processes come and go all the time no two looks find the same.
const mostLooks = 5
// How long a list is tried for where the keeper has no descriptor for a look.
const listedWithinMs = 5_000
const listPauseMs = 100
// A worker that is not blocked has found out who takes in its orphans in a tenth of a second.
const adopterWithinMs = 3_000

export interface KeeperParts {
  readonly libc: Libc | undefined
  readonly isSubreaper: boolean
  /** Process id of the worker. */
  readonly worker: number
  /** What the marks of all scopes of this worker begin with. */
  readonly workerMark: string
  readonly door: StdioServer
  readonly start: Start
  /** Whether the worker is dead: what it asked for before may still be on its way. */
  readonly isWorkerGone: () => boolean
  /** Sends a message to the worker. */
  readonly send: (message: KeeperMessage) => void
  /** Says that processes of unknown origin were ended. */
  readonly sayStrays: (processes: readonly EndedProcess[]) => void
}

export class Keeper {
  readonly census: Census
  /** Who takes in the orphans of the worker. */
  readonly adopter: OrphanAdopter
  readonly #parts: KeeperParts
  /** Those that are not closed, and those that the worker has not been told of. */
  readonly #scopes = new Map<number, KeeperScope>()
  readonly #launches = new Map<number, Launch>()
  /** The launches that wait for a connection, by its number. */
  readonly #expecting = new Map<number, Launch>()
  /** What no scope can have started, and what the worker started behind the guard's back. */
  readonly #worker: WorkerRecord
  readonly #keptFolders = new KeptFolders()
  readonly #deadlines = new ExpiryQueue<KeeperScope>(Number.POSITIVE_INFINITY)
  /** The worker's. */
  #environment: Readonly<Record<string, string>> = {}
  /** The highest number of a connection that a launch has named. */
  #lastConnection = 0
  #isEndingStrays = false
  #isEnding = false
  #isSquattedSaid = false
  #foreignLooks: NodeJS.Timeout | undefined
  /** Told who the adopter is. */
  #onAdopter: (pid: number | undefined) => void = () => {}
  readonly #launchEvents: LaunchEvents

  constructor(parts: KeeperParts) {
    const { libc, isSubreaper, worker, workerMark, isWorkerGone, send } = parts
    this.#parts = parts
    this.#worker = new WorkerRecord(workerMark, libc)
    this.adopter = new OrphanAdopter({
      place: worker,
      find: () => this.#askForAdopter(),
      // With its worker gone, this process is an orphan of that place itself.
      known: () => (isWorkerGone() ? process.ppid : undefined)
    })
    const isWorker = (pid: number): boolean => pid === worker && !isWorkerGone()
    const scanParts = { isWorker, adopter: this.adopter, rest: this.#worker }
    const onStrays = (): void => void this.#endStrays()
    this.census =
      libc !== undefined && isSubreaper
        ? new HybridCensus(
            new SubreaperCensus(libc, this.#worker, this.#worker.released, onStrays),
            scanParts
          )
        : new MarksCensus(scanParts)
    this.#launchEvents = {
      spawned: (launch, pid) => {
        launch.scope.commands.started(launch.id, pid, launch.firstSignalTo)
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
        void this.#letFoldersGo(scope.number)
      }
    }
  }

  receive(message: WorkerMessage): void {
    switch (message.type) {
      case 'settings':
        this.#worker.follow(message.settings)
        break
      case 'open':
        this.#open(message)
        break
      case 'deadline':
        this.#scopes.get(message.scope)?.setDeadline(message.deadlineAt)
        break
      case 'environment':
        this.#environment = message.env
        break
      case 'launch':
        this.#launch(message)
        break
      case 'stdio-lost':
        this.#launches.get(message.id)?.lostStdio(message.code)
        break
      case 'reopen-stdio-server':
        void this.#moveDoor()
        break
      case 'signal':
        this.#launches.get(message.id)?.signal(message.signal)
        break
      case 'adopt':
        this.#adopt(message)
        break
      case 'reaped':
        this.#left(message)
        void this.#letFoldersGo(message.scope)
        break
      case 'terminate':
        void this.#terminate(message)
        break
      case 'release':
        this.#release(message)
        break
      case 'release-adopted':
        this.#letGo(message)
        break
      case 'add-folder':
        this.#addFolder(message)
        break
      case 'list':
        void this.#list(message)
        break
      case 'close':
        this.#close(message.scope)
        break
      case 'adopter':
        this.#onAdopter(message.pid)
        break
      case 'dismiss':
        // The worker lives on, and what it started without the guard is its own affair.
        this.#worker.isOnItsOwn = true
        break
      default:
      // Of the worker itself: see oversight.ts.
    }
  }

  /** Answers an order that is not carried out: the worker has other rights than the keeper was started with. */
  refuse(message: WorkerMessage): void {
    const { send } = this.#parts
    const why = 'the worker has other rights now'
    switch (message.type) {
      case 'launch':
        this.#forgetConnections(message.request)
        send({ type: 'refused', id: message.id })
        break
      case 'signal':
        send({ type: 'log', level: 'warn', fields: {}, message: `${message.signal} was not sent: ${why}` })
        break
      case 'add-hooks':
        send({ type: 'hooks-added', id: message.id, why })
        break
      case 'adopter':
        this.#onAdopter(undefined)
        break
      default:
      // The worker waits for no answer.
    }
  }

  #askForAdopter(): Promise<number | undefined> {
    const answer = new Promise<number | undefined>((resolve) => {
      this.#onAdopter = resolve
    })
    this.#parts.send({ type: 'find-adopter' })
    return pTimeout(answer, { milliseconds: adopterWithinMs })
  }

  async #moveDoor(): Promise<void> {
    const { door, send } = this.#parts
    try {
      await door.move()
      send({ type: 'stdio-server-reopened', path: door.path })
    } catch (error) {
      send({ type: 'stdio-server-reopened', why: (error as Error).message })
    }
  }

  /** A stdio connection has come: the launch that waits for it may start. */
  connectionArrived(connection: number): void {
    const launch = this.#expecting.get(connection)
    if (launch !== undefined) launch.startWhenConnected(this.#parts.door)
    // Its launch was given up meanwhile. One that is not known yet has a higher number.
    else if (connection <= this.#lastConnection) this.#parts.door.take(connection)?.destroy()
  }

  /** What is known of the worker's scopes, for a person to read. */
  status(): WorkerStatus {
    const scopes = [...this.#scopes.values()].flatMap(({ record, opening, openedAt, deadlineInMs }) => {
      const { number, state } = record
      if (state === 'closed') return []
      return {
        scope: number,
        id: opening.id,
        ...(opening.route === undefined ? {} : { route: opening.route }),
        state,
        openMs: Math.round(performance.now() - openedAt),
        ...(deadlineInMs === undefined ? {} : { deadlineInMs: Math.round(deadlineInMs) }),
        processes: describe(record, this.#livingOf(record))
      }
    })
    const { worker } = this.#parts
    return { worker, keeper: process.pid, containment: this.census.containment, scopes }
  }

  /** What the worker has started behind the guard's back, and is alive. */
  unscoped(): ScopeProcess[] {
    this.#lookEverywhere()
    this.census.open(this.#worker)
    return describe(this.#worker, this.#livingOf(this.#worker))
  }

  /** Whether the worker has said that it needs its keeper no more. */
  get isDismissed(): boolean {
    return this.#worker.isOnItsOwn
  }

  /**
   * Closes every scope that is still open and resolves with what was found in them, and what else the worker has
   * started, when all of it is gone or named as left. What it has told of once, it does not tell of again.
   */
  async endAll(reason: 'worker-gone' | 'worker-hung'): Promise<KeeperReport> {
    this.#isEnding = true
    const scopes = [...this.#scopes.values()].filter((scope) => !scope.isTold)
    for (const scope of scopes) scope.isTold = true
    // All gates first: an orphan of unknown origin is ended at once when no open scope can claim it.
    for (const { record } of scopes) this.#gate(record)
    const endings = scopes.map((scope) => this.#ended(scope, reason))
    // To look for what else the worker has started takes a look at every process there is: after the first signals.
    await turn()
    await turn()
    // Another one may have begun to end them, for a worker that hung: nobody leaves before they are gone.
    const others = [...this.#scopes.values()].flatMap(({ ending }) => ending ?? [])
    const reports = await Promise.all([...endings, this.#endWorker()])
    await Promise.all(others)
    // A second time: the worker may have died between the start of a command and its announcement, and what
    // carries the mark of a scope is that scope's affair until it is closed.
    reports.push(await this.#endWorker())
    const leftFolders = await this.#keptFolders.letGoAll()
    return {
      processes: nameSurvivorsOnce(reports.flatMap(({ processes }) => processes)),
      leftFolders: [...leftFolders, ...reports.flatMap(({ leftFolders }) => leftFolders)]
    }
  }

  #open({ scope: number, opening, isInherited }: WorkerMessage & { type: 'open' }): void {
    // What runs in it would be nobody's.
    if (this.#scopes.has(number)) return
    const { libc, workerMark } = this.#parts
    const record = new ScopeRecord(number, markOf(workerMark, number), opening, libc)
    const onDeadline = (): void => void this.#ended(scope, 'deadline')
    const scope = new KeeperScope(record, opening, this.#deadlines, onDeadline)
    // Nothing of the scope is older than its worker.
    if (isInherited) record.foreign.suspectSince(workerIn(workerMark)?.startTick ?? 0)
    this.#scopes.set(number, scope)
    this.census.open(record)
    this.#worker.others.add(record.mark)
    // A worker that hung, and goes on before it is aborted, starts no more.
    if (this.#isEnding) this.#gate(record)
  }

  #launch({ id, scope: number, request }: WorkerMessage & { type: 'launch' }): void {
    const scope = this.#scopes.get(number)?.record
    // The end of the socket comes after all that was written to it, which may take long to start, and for nobody.
    if (scope?.state !== 'open' || this.#parts.isWorkerGone()) {
      const message = `spawn ${request.file} ECANCELED`
      this.#forgetConnections(request)
      this.#parts.send({ type: 'failed', id, failure: { code: 'ECANCELED', message } })
      return
    }
    const { variables, ...order } = request
    const given = order.env ?? this.#environment
    // Most launches have none, and those of the worker's environment then share it.
    const env = variables === undefined ? given : { ...given, ...variables }
    const launch = new Launch(id, scope, { ...order, env }, this.#parts.start, this.#launchEvents)
    this.#launches.set(id, launch)
    for (const connection of this.#connectionsOf(request)) this.#expecting.set(connection, launch)
    launch.startWhenConnected(this.#parts.door)
  }

  #forgetConnections(request: LaunchRequest): void {
    for (const connection of this.#connectionsOf(request)) this.#parts.door.take(connection)?.destroy()
  }

  #connectionsOf({ stdio }: LaunchRequest): number[] {
    const connections = stdio.filter((target) => typeof target === 'number')
    this.#lastConnection = Math.max(this.#lastConnection, ...connections)
    return connections
  }

  #adopt({ scope: number, process, command }: WorkerMessage & { type: 'adopt' }): void {
    const scope = this.#scopes.get(number)?.record
    if (scope === undefined) return
    scope.foreign.adopt(process)
    scope.commands.started(command.number, process.pid, command.firstSignalTo)
    this.#foreignLooks ??= setInterval(() => this.#lookAtForeign(), foreignLookMs)
  }

  #left({ scope: number, pid }: WorkerMessage & { type: 'reaped' }): void {
    const scope = this.#scopes.get(number)?.record
    if (scope === undefined) return
    scope.foreign.forget(pid)
    // Its session has members where its number is still known as that of one.
    scope.commands.leaderEnded(pid, scope.foundingsOf([pid]))
  }

  #lookAtForeign(): void {
    const scopes = [...this.#scopes.values()].map(({ record }) => record).filter(({ foreign }) => foreign.any)
    for (const scope of scopes) if (scope.state === 'open') scope.foreign.look()
    if (scopes.length > 0) return
    clearInterval(this.#foreignLooks)
    this.#foreignLooks = undefined
  }

  #release({ scope: number, pid }: WorkerMessage & { type: 'release' }): void {
    const scope = this.#scopes.get(number)?.record
    if (!scope?.release(pid)) return
    scope.hasReleased = true
    this.census.release(scope, pid)
    this.#worker.released.add(scope.mark)
    this.#note(pid, () => noteRelease(scope.mark))
  }

  #letGo({ scope: number, process }: WorkerMessage & { type: 'release-adopted' }): void {
    const { pid, startTick } = process
    const scope = this.#scopes.get(number)?.record
    // It may have ended meanwhile, and its number be anybody's.
    if (!scope?.foreign.has(pid) || statOf(pid)?.startTick !== startTick) return
    scope.release(pid)
    this.census.letGo(scope, pid)
    this.#note(pid, () => noteReleasedProcess(process))
  }

  #addFolder({ scope: number, folder }: WorkerMessage & { type: 'add-folder' }): void {
    const scope = this.#scopes.get(number)?.record
    // What has another name was made by nobody that the keeper works for.
    if (basename(folder.path).startsWith(scopeFolderPrefix(this.#parts.workerMark, number)))
      scope?.folders.push(folder)
  }

  #note(pid: number, note: () => readonly string[]): void {
    const { send } = this.#parts
    try {
      const squatted = note()
      if (squatted.length === 0 || this.#isSquattedSaid) return
      this.#isSquattedSaid = true
      send({ type: 'log', level: 'warn', fields: {}, message: squattedLine(squatted) })
    } catch (error) {
      send({ type: 'log', level: 'error', fields: { pid }, message: (error as Error).message })
    }
  }

  async #list({ id, scope: number }: WorkerMessage & { type: 'list' }): Promise<void> {
    const scope = this.#scopes.get(number)?.record
    const until = performance.now() + listedWithinMs
    for (;;) {
      try {
        const processes = scope === undefined ? [] : describe(scope, await this.#settledOf(scope))
        this.#parts.send({ type: 'listed', id, processes })
        return
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException
        if (!isOutOfDescriptors(error) || performance.now() >= until) {
          this.#parts.send({ type: 'listed', id, why: { code, message } })
          return
        }
      }
      await pause(listPauseMs)
    }
  }

  /** A look misses a process that is orphaned during it. So it takes two in a row that find the same, a turn apart. */
  async #settledOf(scope: ScopeRecord): Promise<Member[]> {
    let before: string | undefined
    for (let looks = 1; ; looks++) {
      const living = this.#livingOf(scope)
      await this.adopter.settled()
      const found = living.map(({ stat }) => stat.pid).join()
      if (found === before || looks === mostLooks) return living
      before = found
      await turn()
    }
  }

  #livingOf(scope: ScopeRecord): Member[] {
    return this.census.members(scope).filter(({ stat }) => stat.alive)
  }

  #expectNoMore(launch: Launch): void {
    for (const connection of launch.connections) {
      this.#expecting.delete(connection)
      this.#parts.door.take(connection)?.destroy()
    }
  }

  #close(number: number): void {
    const scope = this.#scopes.get(number)
    if (scope === undefined) {
      // It was refused, and what it has is for another one to end.
      this.#parts.send({ type: 'closed', scope: number })
      return
    }
    void this.#ended(scope).then((report) => {
      this.#scopes.delete(number)
      this.#parts.send({ type: 'closed', scope: number, report })
    })
  }

  async #terminate({ id, scope: number, command, killSignal }: WorkerMessage & { type: 'terminate' }) {
    const scope = this.#scopes.get(number)
    const processes = scope === undefined ? [] : await this.#endCommand(scope, command, killSignal)
    this.#parts.send({ type: 'terminated', id, processes })
  }

  /** Ends one command with its tree. Where its scope is ending, that is the end of the command, too. */
  async #endCommand(
    { record, ending }: KeeperScope,
    command: number,
    killSignal: NodeJS.Signals
  ): Promise<readonly EndedProcess[]> {
    if (ending !== undefined) return (await ending).processes
    const { graceMs, firstSignalTo } = record
    record.commands.watch(command)
    try {
      const search = new CommandCensus(this.census, command)
      return await terminate(search, record, this.#parts.libc, { graceMs, killSignal, firstSignalTo })
    } finally {
      this.#sayUnseen(record)
      record.commands.forget(command)
    }
  }

  /** Ends a scope once, whoever asks for it, and resolves when it is closed. */
  #ended(scope: KeeperScope, reason?: KeeperReport['reason']): Promise<KeeperReport> {
    this.#gate(scope.record)
    scope.ending ??= this.#end(scope.record).then((report) =>
      reason === undefined ? report : { ...report, reason }
    )
    return scope.ending
  }

  /** From here on the scope starts nothing. */
  #gate(scope: ScopeRecord): void {
    if (scope.state !== 'open') return
    scope.state = 'closing'
    // Only those that wait for a connection: a thousand scopes may close at once, and a thousand processes run.
    for (const launch of this.#expecting.values()) if (launch.scope === scope) launch.abandon('ECANCELED')
  }

  async #end(scope: ScopeRecord): Promise<KeeperReport> {
    const processes = await terminate(this.census, scope, this.#parts.libc)
    this.#sayUnseen(scope)
    scope.state = 'closed'
    const hasSurvivors = processes.some(({ ended }) => ended === 'survived')
    this.census.forget(scope, hasSurvivors)
    // What could not be ended is named once.
    if (!hasSurvivors) this.#worker.others.delete(scope.mark)
    scope.foreign.close()
    const isKept = ({ user }: ScopeFolder): boolean => user !== undefined && scope.hasReleased
    this.#keptFolders.keep(scope.number, scope.mark, scope.folders.filter(isKept))
    const leftFolders = await removeFolders(scope.folders.filter((folder) => !isKept(folder)))
    // What was released may have ended before.
    leftFolders.push(...(await this.#keptFolders.letGo(scope.number)))
    return { processes, leftFolders }
  }

  /** Where nothing is known of a scope no survivor tells of it. */
  #sayUnseen(scope: ScopeRecord): void {
    const { number, whyUnseen: why } = scope
    if (why === undefined) return
    scope.whyUnseen = undefined
    this.#parts.send({ type: 'log', level: 'error', fields: { scope: number, why }, message: unseenLine })
  }

  /** What was released has ended. */
  async #letFoldersGo(scope: number): Promise<void> {
    const leftFolders = await this.#keptFolders.letGo(scope)
    if (leftFolders.length === 0) return
    const message = 'folders of a closed scope could not be removed'
    this.#parts.send({ type: 'log', level: 'error', fields: { leftFolders }, message })
  }

  /** Ends what the worker has started behind the guard's back, and strays. */
  async #endWorker(): Promise<KeeperReport> {
    if (!this.#worker.isOnItsOwn) this.#lookEverywhere()
    this.census.open(this.#worker)
    return this.#end(this.#worker)
  }

  #lookEverywhere(): void {
    this.#worker.lookEverywhere()
    try {
      // By a keeper that this worker had before.
      for (const pid of releasedProcesses(this.#parts.workerMark)) this.census.letGo(this.#worker, pid)
    } catch {
      // For want of descriptors. What this keeper has let go itself it knows.
    }
  }

  async #endStrays(): Promise<void> {
    if (this.#isEndingStrays) return
    this.#isEndingStrays = true
    const { processes } = await this.#end(this.#worker)
    this.#isEndingStrays = false
    if (processes.length > 0) this.#parts.sayStrays(processes)
  }
}

/** The second look for what the worker has left finds those that the first could not end. */
function nameSurvivorsOnce(processes: readonly EndedProcess[]): EndedProcess[] {
  const survivors = new Set<number>()
  return processes.filter(({ pid, ended }) => {
    if (ended !== 'survived') return true
    if (survivors.has(pid)) return false
    survivors.add(pid)
    return true
  })
}

/** For a person to read. */
function describe(scope: ScopeRecord, members: readonly Member[]): ScopeProcess[] {
  return members.map(({ stat }) => processOf(stat, scope.leaders.get(stat.pid)))
}
