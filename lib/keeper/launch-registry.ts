/** The commands that the keeper starts, from the order to the exit: which wait for connections, which run. */

import type { Census } from '../containment/census.js'
import type { ScopeRecord } from '../containment/scope-record.js'
import type { KeeperMessage, LaunchRequest, WorkerMessage } from '../wire/messages.js'
import { connectionErrorCode, Launch, type LaunchEvents } from './launch.js'
import type { StartInScope, StreamConnections } from './process-starter.js'

export interface LaunchRegistryParts {
  readonly census: Census
  /** Where the launches take their connections from. */
  readonly connections: StreamConnections
  readonly startProcess: StartInScope
  readonly isWorkerGone: () => boolean
  readonly send: (message: KeeperMessage) => void
  /** A command of this scope was started. */
  readonly onStart: (scope: ScopeRecord) => void
  /** A command of this scope was ended by SIGKILL. Called before that is reported. */
  readonly onKilled: (scope: ScopeRecord) => void
  /** A command of this scope has exited. */
  readonly onExit: (scope: number) => void
}

type LaunchOrder = WorkerMessage & { type: 'launch' }

export class LaunchRegistry {
  readonly #parts: LaunchRegistryParts
  readonly #launches = new Map<number, Launch>()
  /** The launches that wait for a connection, by the number of the connection. */
  readonly #waiting = new Map<number, Launch>()
  readonly #events: LaunchEvents
  /** The environment of the worker. */
  #environment: Readonly<Record<string, string>> = {}
  /** The highest connection number that any launch has named. */
  #lastConnection = 0

  constructor(parts: LaunchRegistryParts) {
    const { census, send, onStart, onKilled, onExit } = parts
    this.#parts = parts
    this.#events = {
      spawned: (launch, pid) => {
        launch.scope.commands.started(launch.id, pid, launch.firstSignalTo)
        census.leaderStarted(launch.scope, pid, launch.command)
        onStart(launch.scope)
        this.#forget(launch)
        send({ type: 'spawned', id: launch.id, pid })
      },
      failed: (launch, failure) => {
        this.#forget(launch)
        this.#launches.delete(launch.id)
        send({ type: 'failed', id: launch.id, failure })
      },
      exited: ({ id, scope }, pid, { code, signal, usage }) => {
        this.#launches.delete(id)
        if (signal === 'SIGKILL') onKilled(scope)
        census.leaderEnded(scope, pid, usage)
        send({ type: 'exited', id, code, signal, usage })
        onExit(scope.number)
      }
    }
  }

  /** Sets the environment of the launches that follow and have none of their own. */
  setEnvironment(environment: Readonly<Record<string, string>>): void {
    this.#environment = environment
  }

  /** Starts a command as soon as its connections have arrived. Fails when the scope is not open. */
  launch({ id, request }: LaunchOrder, scope: ScopeRecord | undefined): void {
    const { connections, startProcess, isWorkerGone, send } = this.#parts
    // The worker's last orders may still be read after its death. Carrying them out would waste time.
    if (scope?.state !== 'open' || isWorkerGone()) {
      const message = `spawn ${request.file} ECANCELED`
      this.#closeConnections(request)
      send({ type: 'failed', id, failure: { code: 'ECANCELED', message } })
      return
    }
    const { variables, ...order } = request
    const base = order.env ?? this.#environment
    // Most launches have no variables of their own: those with the worker's environment share one object.
    const env = variables === undefined ? base : { ...base, ...variables }
    const launch = new Launch(id, scope, { ...order, env }, startProcess, this.#events)
    this.#launches.set(id, launch)
    for (const connection of this.#connectionsOf(request)) this.#waiting.set(connection, launch)
    if (connections.make !== undefined && launch.connections.length > 0) this.#makePipes(launch)
    launch.startWhenConnected(connections)
  }

  /** The worker has connected to the pipes that were made for this launch: it may start. */
  pipesConnected(id: number): void {
    const launch = this.#launches.get(id)
    if (launch === undefined) return
    const { connections } = this.#parts
    connections.noteConnected?.(launch.connections)
    launch.startWhenConnected(connections)
  }

  /** Refuses a launch: the worker has another keeper start the command. */
  refuse({ id, request }: LaunchOrder): void {
    this.#closeConnections(request)
    this.#parts.send({ type: 'refused', id })
  }

  /** A stdio connection has arrived: the launch that waits for it may start. */
  connectionArrived(connection: number): void {
    const { connections } = this.#parts
    const launch = this.#waiting.get(connection)
    if (launch !== undefined) launch.startWhenConnected(connections)
    // The launch was abandoned in the meantime. (The number of a launch that is not known yet is higher.)
    else if (connection <= this.#lastConnection) connections.drop(connection)
  }

  /** The worker could not open a connection of this launch, or suspects that one was lost (no code). */
  stdioLost(id: number, code: string | undefined): void {
    this.#launches.get(id)?.stdioLost(code)
  }

  /** Sends a signal to the process of a launch. */
  signal(id: number, signal: NodeJS.Signals): void {
    this.#launches.get(id)?.signal(signal)
  }

  /** Abandons the launches of a scope that still wait for connections. */
  abandonWaiting(scope: ScopeRecord): void {
    // Only the waiting ones are visited: a thousand scopes may close at once while a thousand commands run.
    for (const launch of this.#waiting.values()) if (launch.scope === scope) launch.abandon('ECANCELED')
  }

  #makePipes(launch: Launch): void {
    try {
      this.#parts.connections.make?.(launch.connections)
      this.#parts.send({ type: 'pipes-made', id: launch.id })
    } catch (error) {
      launch.abandon(connectionErrorCode(error))
    }
  }

  /** Waits no longer for the connections of this launch, and closes those that have arrived. */
  #forget(launch: Launch): void {
    for (const connection of launch.connections) {
      this.#waiting.delete(connection)
      this.#parts.connections.drop(connection)
    }
  }

  #closeConnections(request: LaunchRequest): void {
    for (const connection of this.#connectionsOf(request)) this.#parts.connections.drop(connection)
  }

  #connectionsOf({ stdio }: LaunchRequest): number[] {
    const connections = stdio.filter((target) => typeof target === 'number')
    this.#lastConnection = Math.max(this.#lastConnection, ...connections)
    return connections
  }
}
