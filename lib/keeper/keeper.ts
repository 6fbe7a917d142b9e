/** The keeper: receives the worker's orders and passes each to the part that carries it out. */

import type { Census } from '../containment/census.js'
import { ContainerCensus } from '../containment/container-census.js'
import { OrphanAdopter } from '../containment/find-orphan-adopter.js'
import { ScopeCgroups } from '../containment/scope-cgroups.js'
import type { ScopeRecord } from '../containment/scope-record.js'
import { UnscopedRecord } from '../containment/unscoped-record.js'
import { type Containers, type NativeCalls, platform, type ScopeProcess } from '../platform/current.js'
import type { ExceededLimit } from '../scope-limits.js'
import type { EndedProcess, KeeperMessage, KeeperReport, WorkerMessage } from '../wire/messages.js'
import type { WorkerStatus } from '../wire/worker-status.js'
import { AdopterRequest } from './ask-worker-for-adopter.js'
import { ScopeCloser } from './close-scope.js'
import { CommandPriorities } from './command-priorities.js'
import { createCensus } from './create-census.js'
import { statusOf } from './describe-scope.js'
import { endEverything } from './end-everything.js'
import { LaunchRegistry } from './launch-registry.js'
import { LimitWatch } from './limit-watch.js'
import { listProcesses } from './list-scope-processes.js'
import { MadePipes } from './made-pipes.js'
import { OpeningConnections } from './open-stream.js'
import type { StartProcess, StreamConnections } from './process-starter.js'
import { ScopeReleaser } from './release-from-scope.js'
import { ExternalProcessTracker } from './rescan-external-processes.js'
import { ScopeRegistry } from './scope-registry.js'
import { startInCgroup } from './start-in-cgroup.js'
import { startInContainer } from './start-in-container.js'
import { startWithPriority } from './start-with-priority.js'
import { startWithRlimits } from './start-with-rlimits.js'
import type { StdioServer } from './stdio-server.js'
import { UnscopedProcesses } from './unscoped-processes.js'

// How long processes that have exceeded a limit run on if the event loop of the worker is blocked.
const workerAnswersWithinMs = 100

export interface KeeperParts {
  readonly native: NativeCalls | undefined
  readonly isSubreaper: boolean
  /** The directory of the worker's cgroup. Undefined if the keeper has none. */
  readonly cgroup: string | undefined
  /** Undefined on a system without them. */
  readonly containers: Containers | undefined
  /** Pid of the worker. */
  readonly worker: number
  /** The common prefix of the marks of all scopes of this worker. */
  readonly workerMark: string
  readonly stdioServer: StdioServer
  readonly startProcess: StartProcess
  /** Whether the worker is dead. Orders that it sent before may still arrive. */
  readonly isWorkerGone: () => boolean
  /** Sends a message to the worker. */
  readonly send: (message: KeeperMessage) => void
  /** Logs that processes of unknown origin were ended. */
  readonly logStrays: (processes: readonly EndedProcess[]) => void
}

export class Keeper {
  readonly census: Census
  /** The process that adopts the orphans of the worker. */
  readonly adopter: OrphanAdopter
  readonly #parts: KeeperParts
  readonly #cgroups: ScopeCgroups | undefined
  /** The processes of the worker that belong to no scope. */
  readonly #unscopedRecord: UnscopedRecord
  readonly #adopterRequest: AdopterRequest
  readonly #launches: LaunchRegistry
  readonly #closer: ScopeCloser
  readonly #scopes: ScopeRegistry
  readonly #externals: ExternalProcessTracker
  readonly #releaser: ScopeReleaser
  readonly #unscoped: UnscopedProcesses

  constructor(parts: KeeperParts) {
    const { native, isSubreaper, cgroup, containers, worker, workerMark, startProcess } = parts
    const { isWorkerGone, send, logStrays } = parts
    this.#parts = parts
    const cgroups = platform.cgroups && new ScopeCgroups(platform.cgroups, cgroup)
    this.#cgroups = cgroups
    const unscopedRecord = new UnscopedRecord(workerMark, native)
    this.#unscopedRecord = unscopedRecord
    this.#adopterRequest = new AdopterRequest(send)
    this.adopter = new OrphanAdopter({
      pid: worker,
      findAdopter: () => this.#adopterRequest.ask(),
      // When its worker is gone, the keeper is itself an orphan of the worker: its parent is the adopter.
      knownAdopter: () => (isWorkerGone() ? process.ppid : undefined)
    })
    const census = createCensus({
      native,
      isSubreaper,
      cgroups,
      containers,
      isWorker: (pid) => pid === worker && !isWorkerGone(),
      adopter: this.adopter,
      unscopedRecord,
      onStrays: () => void this.#unscoped.endStrays()
    })
    this.census = census
    const warn = (message: string): void => send({ type: 'log', level: 'warn', fields: {}, message })
    const priorities = new CommandPriorities({ native, warn })
    const startInScope =
      census instanceof ContainerCensus
        ? startInContainer(census)
        : cgroups?.hasPlaces === true
          ? startInCgroup(
              startProcess,
              (scope) => cgroups.placeFor(scope),
              ({ message }) => warn(message)
            )
          : startProcess
    const limitWatch = new LimitWatch({
      census,
      onExceeded: (scope, exceeded) => this.#limitExceeded(scope, exceeded)
    })
    const launches = new LaunchRegistry({
      census,
      connections: connectionsOf(parts),
      startProcess: startWithRlimits(startWithPriority(startInScope, priorities)),
      isWorkerGone,
      send,
      onStart: (scope) => limitWatch.processStarted(scope),
      onKilled: (scope) => limitWatch.commandKilled(scope),
      onExit: (scope) => void this.#closer.removeUnusedFolders(scope)
    })
    const closer = new ScopeCloser({
      ...{ census, launches, native, unscopedRecord, send },
      onClosing: (scope) => limitWatch.remove(scope)
    })
    this.#launches = launches
    this.#closer = closer
    this.#scopes = new ScopeRegistry({
      ...{ census, closer, native, unscopedRecord, limitWatch, workerMark }
    })
    this.#externals = new ExternalProcessTracker(this.#scopes, census, (scope, pid) => {
      priorities.adopted(scope, pid)
      limitWatch.processStarted(scope)
    })
    this.#releaser = new ScopeReleaser(census, unscopedRecord, send)
    this.#unscoped = new UnscopedProcesses({ census, closer, unscopedRecord, workerMark, logStrays })
  }

  /** Carries out an order. */
  receive(message: WorkerMessage): void {
    switch (message.type) {
      case 'settings':
        this.#unscopedRecord.applySettings(message.settings)
        break
      case 'open':
        this.#scopes.open(message)
        break
      case 'deadline':
        this.#scopes.get(message.scope)?.setDeadline(message.deadlineAt)
        break
      case 'environment':
        this.#launches.setEnvironment(message.env)
        break
      case 'launch':
        this.#launches.launch(message, this.#scopes.recordOf(message.scope))
        break
      case 'pipes-connected':
        this.#launches.pipesConnected(message.id)
        break
      case 'stdio-lost':
        this.#launches.stdioLost(message.id, message.code)
        break
      case 'reopen-stdio-server':
        void this.#reopenStdioServer()
        break
      case 'signal':
        this.#launches.signal(message.id, message.signal)
        break
      case 'adopt':
        this.#externals.adopt(this.#scopes.recordOf(message.scope), message)
        break
      case 'reaped':
        this.#externals.exited(this.#scopes.recordOf(message.scope), message.pid)
        void this.#closer.removeUnusedFolders(message.scope)
        break
      case 'terminate':
        void this.#terminate(message)
        break
      case 'release':
        this.#releaser.releaseCommand(this.#scopes.recordOf(message.scope), message.pid)
        break
      case 'release-adopted':
        this.#releaser.releaseAdopted(this.#scopes.recordOf(message.scope), message.process)
        break
      case 'add-folder':
        this.#scopes.addFolder(message)
        break
      case 'list':
        void this.#list(message)
        break
      case 'close':
        this.#close(message.scope)
        break
      case 'adopter':
        this.#adopterRequest.answer(message.pid)
        break
      case 'dismiss':
        // The worker lives on. What it started without the guard is not the keeper's to end.
        this.#unscopedRecord.isDismissed = true
        break
      default:
      // About the worker itself: see worker-supervisor.ts.
    }
  }

  /** Answers an order that is not carried out: the worker's rights changed since it started this keeper. */
  refuse(message: WorkerMessage): void {
    const { send } = this.#parts
    const why = 'the rights of the worker have changed'
    switch (message.type) {
      case 'launch':
        this.#launches.refuse(message)
        break
      case 'signal':
        send({ type: 'log', level: 'warn', fields: {}, message: `${message.signal} was not sent: ${why}` })
        break
      case 'add-hooks':
        send({ type: 'hooks-added', id: message.id, why })
        break
      case 'adopter':
        this.#adopterRequest.answer(undefined)
        break
      default:
      // The worker does not wait for an answer.
    }
  }

  /** A stdio connection has arrived. */
  connectionArrived(connection: number): void {
    this.#launches.connectionArrived(connection)
  }

  /** The worker's scopes and their processes, for a person to read. */
  status(): WorkerStatus {
    const scopes = this.#scopes.all().flatMap((scope) => statusOf(scope, this.census) ?? [])
    const { worker } = this.#parts
    return { worker, keeper: process.pid, containment: this.census.containment, scopes }
  }

  /** The living processes that the worker started outside any scope. */
  unscoped(): ScopeProcess[] {
    return this.#unscoped.list()
  }

  /** Whether the worker has announced that it no longer needs its keeper. */
  get isDismissed(): boolean {
    return this.#unscopedRecord.isDismissed
  }

  /**
   * Closes every open scope and ends what else the worker started. Resolves when all of it is gone or
   * reported as a survivor. A later call does not report the same scope again.
   */
  endAll(reason: 'worker-gone' | 'worker-hung'): Promise<KeeperReport> {
    this.#scopes.beginEnding()
    return endEverything(this.#scopes, this.#closer, this.#unscoped, reason)
  }

  /** Everything has been ended, and the keeper exits. */
  close(): void {
    this.#cgroups?.closeAll()
  }

  async #reopenStdioServer(): Promise<void> {
    const { stdioServer, send } = this.#parts
    try {
      await stdioServer.reopen()
      send({ type: 'stdio-server-reopened', path: stdioServer.path })
    } catch (error) {
      send({ type: 'stdio-server-reopened', why: (error as Error).message })
    }
  }

  async #list({ id, scope }: WorkerMessage & { type: 'list' }): Promise<void> {
    this.#parts.send(await listProcesses(id, this.#scopes.recordOf(scope), this.census, this.adopter))
  }

  async #terminate({ id, scope: number, command, killSignal }: WorkerMessage & { type: 'terminate' }) {
    const scope = this.#scopes.get(number)
    const processes = scope === undefined ? [] : await this.#closer.endCommand(scope, command, killSignal)
    this.#parts.send({ type: 'terminated', id, processes })
  }

  /**
   * Tells the worker first. It answers the request, and closes the scope: otherwise the handler could see the end of a
   * command before, and answer with that.
   */
  #limitExceeded(record: ScopeRecord, exceeded: ExceededLimit): void {
    const scope = this.#scopes.get(record.number)
    if (scope === undefined) return
    this.#parts.send({ type: 'limit-exceeded', scope: record.number, exceeded })
    // A grace period would let them take more of what they have taken too much of already.
    record.killSignal = 'SIGKILL'
    setTimeout(() => void this.#closer.close(scope, { reason: 'limit', exceeded }), workerAnswersWithinMs)
  }

  #close(number: number): void {
    const scope = this.#scopes.get(number)
    if (scope === undefined) {
      // Its opening was refused: another keeper has the processes of this scope.
      this.#parts.send({ type: 'closed', scope: number })
      return
    }
    void this.#closer.close(scope).then((report) => {
      this.#scopes.delete(number)
      this.#parts.send({ type: 'closed', scope: number, report })
    })
  }
}

/** Where launches take their connections from. */
function connectionsOf({ containers, stdioServer }: KeeperParts): StreamConnections {
  if (!platform.usesNamedPipes) return stdioServer
  return containers?.makePrivatePipe === undefined
    ? new OpeningConnections(stdioServer)
    : new MadePipes(stdioServer, containers.makePrivatePipe)
}
