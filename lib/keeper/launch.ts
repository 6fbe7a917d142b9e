/** Starting a command: the keeper waits for its stdio connections, spawns it, and tells how it went. */

import type { Socket } from 'node:net'
import type { ScopeRecord } from '../containment/scope-record.js'
import type { FirstSignalTo } from '../options.js'
import { hasNoDescriptor, shortCommand } from '../platform/current.js'
import type { LaunchFailure, LaunchRequest } from '../wire/messages.js'
import type { Start, StartEvents, Started } from './process-starter.js'
import type { StdioServer } from './stdio-server.js'

// Connections come at once. When one has not come by then, the keeper had no descriptor for it, or the worker's event loop is blocked.
const connectedWithinMs = 2_000
// The worker has reason to believe that one was dropped. One that has come meanwhile is read by then.
const broughtUpWithinMs = 1_000

/** What becomes of a launch; each is called once at most. */
export interface LaunchEvents {
  spawned(launch: Launch, pid: number): void
  failed(launch: Launch, failure: LaunchFailure): void
  exited(launch: Launch, pid: number, code: number | null, signal: NodeJS.Signals | null): void
}

/** A request with its whole environment. */
export type KnownRequest = Omit<LaunchRequest, 'variables'> & Required<Pick<LaunchRequest, 'env'>>

type State =
  | {
      readonly name: 'waiting'
      readonly request: KnownRequest
      /** What the user sent before the process was there. */
      readonly signals: NodeJS.Signals[]
      patience: NodeJS.Timeout | undefined
    }
  | { readonly name: 'starting'; readonly sockets: readonly Socket[] }
  // Thousands may run: nothing is kept of what they were started with.
  | { readonly name: 'running'; readonly process: Started }
  | { readonly name: 'over' }

export class Launch implements StartEvents {
  readonly id: number
  readonly scope: ScopeRecord
  /** The command line, for a person to read. */
  readonly command: string
  /** Undefined for that of the scope. */
  readonly firstSignalTo: FirstSignalTo | undefined
  /** The connections that are to be its standard streams. */
  readonly connections: readonly number[]
  readonly #start: Start
  readonly #events: LaunchEvents
  #state: State

  constructor(id: number, scope: ScopeRecord, request: KnownRequest, start: Start, events: LaunchEvents) {
    this.id = id
    this.scope = scope
    this.command = shortCommand(request.args.join(' '))
    this.firstSignalTo = request.firstSignalTo
    this.connections = request.stdio.filter((target) => typeof target === 'number')
    this.#start = start
    this.#events = events
    this.#state = { name: 'waiting', request, signals: [], patience: undefined }
  }

  /** Spawns the command as soon as all its connections have come. */
  startWhenConnected(door: StdioServer): void {
    const state = this.#state
    if (state.name !== 'waiting') return
    if (!this.connections.every((connection) => door.has(connection))) {
      if (state.patience === undefined) this.#waitFor(connectedWithinMs, hasNoDescriptor)
      return
    }
    clearTimeout(state.patience)
    const sockets: Socket[] = []
    const stdio = state.request.stdio.map((target) => {
      if (typeof target !== 'number') return target
      const socket = door.take(target) as Socket
      sockets.push(socket)
      return socket
    })
    this.#state = { name: 'starting', sockets }
    const process = this.#start({ ...state.request, mark: this.scope.mark, command: this.id, stdio }, this)
    if (process === undefined) return
    this.#state = { name: 'running', process }
    // The subprocess has its own copies. With ours open, the worker would never see them end.
    for (const socket of sockets) socket.destroy()
    this.#events.spawned(this, process.pid)
    for (const signal of state.signals) process.kill(signal)
  }

  /** A connection cannot be had, with that code; without one it was dropped, or has come and is on its way up. */
  lostStdio(code?: string): void {
    if (code !== undefined) this.abandon(code)
    else this.#waitFor(broughtUpWithinMs, () => true)
  }

  /** Gives up after that time where the connections can come no more, and goes on waiting where they can. */
  #waitFor(ms: number, isHopeless: () => boolean): void {
    if (this.#state.name !== 'waiting') return
    clearTimeout(this.#state.patience)
    const giveUp = (): void => {
      if (isHopeless()) this.abandon('EMFILE')
      else this.#waitFor(ms, isHopeless)
    }
    // After a standstill the timer comes first: what has come meanwhile takes one turn to be accepted, and one to be read.
    this.#state.patience = setTimeout(() => setImmediate(() => setImmediate(giveUp)), ms)
  }

  /** Gives a launch up that still waits for its connections. */
  abandon(code: string): void {
    if (this.#state.name !== 'waiting') return
    const { request, patience } = this.#state
    clearTimeout(patience)
    this.failed({ code, message: `spawn ${request.file} ${code}` })
  }

  /** Sends a signal to the process itself, as `ChildProcess.kill` does. */
  signal(signal: NodeJS.Signals): void {
    if (this.#state.name === 'waiting') this.#state.signals.push(signal)
    else if (this.#state.name === 'running') this.#state.process.kill(signal)
  }

  failed(failure: LaunchFailure): void {
    // The worker closes its ends when it hears of the failure. Were ours closed first, it could take the end
    // of the output for that of a command which had nothing to say.
    if (this.#state.name === 'starting') for (const socket of this.#state.sockets) destroyAtEnd(socket)
    this.#state = { name: 'over' }
    this.#events.failed(this, failure)
  }

  exited(code: number | null, signal: NodeJS.Signals | null): void {
    if (this.#state.name !== 'running') return
    const { pid } = this.#state.process
    this.#state = { name: 'over' }
    this.#events.exited(this, pid, code, signal)
  }
}

function destroyAtEnd(socket: Socket): void {
  if (socket.readableEnded) socket.destroy()
  else socket.once('end', () => socket.destroy()).resume()
}
