/** One launch: waits for the stdio connections of a command, starts it, and reports what became of it. */

import { Socket } from 'node:net'
import type { ScopeRecord } from '../containment/scope-record.js'
import type { FirstSignalTo } from '../options.js'
import { hasNoDescriptor, isOutOfDescriptors, type ProcessUsage, shortCommand } from '../platform/current.js'
import type { LaunchFailure, LaunchRequest } from '../wire/messages.js'
import type {
  StartEvents,
  StartedProcess,
  StartInScope,
  StartRequest,
  StreamConnection,
  StreamConnections
} from './process-starter.js'

// Connections arrive at once. When one has not arrived after this time, the keeper had no descriptor for it,
// or the worker's event loop is blocked.
const connectedWithinMs = 2_000
// When the worker suspects that a connection was lost: one that has arrived has been read by then.
const readWithinMs = 1_000

/** What becomes of a launch. Each is called once at most. */
export interface LaunchEvents {
  spawned(launch: Launch, pid: number): void
  failed(launch: Launch, failure: LaunchFailure): void
  exited(launch: Launch, pid: number, exit: ProcessExit): void
}

/** How a process has ended, and what it has used, as far as that is known. */
export interface ProcessExit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly usage: ProcessUsage | undefined
}

/** A request with its complete environment. */
export type ResolvedRequest = Omit<LaunchRequest, 'variables'> & Required<Pick<LaunchRequest, 'env'>>

type State =
  | {
      readonly name: 'waiting'
      readonly request: ResolvedRequest
      /** The signals that were sent before the process existed. */
      readonly signals: NodeJS.Signals[]
      timeout: NodeJS.Timeout | undefined
    }
  | { readonly name: 'starting'; readonly streams: readonly StreamConnection[] }
  // Thousands of commands may run: keep nothing of what they were started with.
  | { readonly name: 'running'; readonly process: StartedProcess }
  | { readonly name: 'over' }

export class Launch implements StartEvents {
  readonly id: number
  readonly scope: ScopeRecord
  /** The command line, for a person to read. */
  readonly command: string
  /** Undefined for that of the scope. */
  readonly firstSignalTo: FirstSignalTo | undefined
  /** The connections that become its standard streams. */
  readonly connections: readonly number[]
  readonly #startProcess: StartInScope
  readonly #events: LaunchEvents
  #state: State

  constructor(
    id: number,
    scope: ScopeRecord,
    request: ResolvedRequest,
    startProcess: StartInScope,
    events: LaunchEvents
  ) {
    this.id = id
    this.scope = scope
    this.command = shortCommand(request.args.join(' '))
    this.firstSignalTo = request.firstSignalTo
    this.connections = request.stdio.filter((target) => typeof target === 'number')
    this.#startProcess = startProcess
    this.#events = events
    this.#state = { name: 'waiting', request, signals: [], timeout: undefined }
  }

  /** Starts the command if all its connections are there. */
  startWhenConnected(connections: StreamConnections): void {
    const state = this.#state
    if (state.name !== 'waiting') return
    if (!this.connections.every((connection) => connections.has(connection))) {
      if (state.timeout === undefined) this.#abandonAfter(connectedWithinMs, hasNoDescriptor)
      return
    }
    clearTimeout(state.timeout)
    const streams: StreamConnection[] = []
    this.#state = { name: 'starting', streams }
    const stdio = this.#takeAll(connections, state.request, streams)
    if (stdio === undefined) return
    const { scope, id } = this
    const request = { ...state.request, scope, mark: scope.mark, command: id, stdio }
    const process = this.#startProcess(request, this)
    if (process === undefined) return
    this.#state = { name: 'running', process }
    // The process has its own copies. If ours stayed open, the worker would never see the streams end.
    for (const stream of streams) stream.destroy()
    this.#events.spawned(this, process.pid)
    for (const signal of state.signals) process.kill(signal)
  }

  /** Adds each connection to `streams`. Undefined if one could not be opened: then the launch has failed. */
  #takeAll(
    connections: StreamConnections,
    { file, stdio }: ResolvedRequest,
    streams: StreamConnection[]
  ): StartRequest['stdio'] | undefined {
    try {
      return stdio.map((target) => {
        if (typeof target !== 'number') return target
        const stream = connections.take(target) as StreamConnection
        streams.push(stream)
        return stream
      })
    } catch (error) {
      const code = connectionErrorCode(error)
      this.failed({ code, message: `spawn ${file} ${code}` })
      return undefined
    }
  }

  /**
   * With a code: the worker could not open a connection. Without one: the worker suspects that a connection
   * was lost. It may also have arrived without having been read yet.
   */
  stdioLost(code?: string): void {
    if (code !== undefined) this.abandon(code)
    else this.#abandonAfter(readWithinMs, () => true)
  }

  /** Abandons the launch after this time if the connections cannot arrive any more, else waits again. */
  #abandonAfter(ms: number, isHopeless: () => boolean): void {
    if (this.#state.name !== 'waiting') return
    clearTimeout(this.#state.timeout)
    const abandonIfHopeless = (): void => {
      if (isHopeless()) this.abandon('EMFILE')
      else this.#abandonAfter(ms, isHopeless)
    }
    // After a pause of this process the timer fires first. What arrived during the pause takes one turn to be
    // accepted, and one to be read.
    this.#state.timeout = setTimeout(() => setImmediate(() => setImmediate(abandonIfHopeless)), ms)
  }

  /** Fails the launch if it still waits for its connections. */
  abandon(code: string): void {
    if (this.#state.name !== 'waiting') return
    const { request, timeout } = this.#state
    clearTimeout(timeout)
    this.failed({ code, message: `spawn ${request.file} ${code}` })
  }

  /** Sends a signal to the process itself, as `ChildProcess.kill` does. */
  signal(signal: NodeJS.Signals): void {
    if (this.#state.name === 'waiting') this.#state.signals.push(signal)
    else if (this.#state.name === 'running') this.#state.process.kill(signal)
  }

  failed(failure: LaunchFailure): void {
    // The worker closes its ends when it learns of the failure. If ours were closed first, it could mistake
    // the end of the output for that of a command without output.
    if (this.#state.name === 'starting') for (const stream of this.#state.streams) destroyAtEnd(stream)
    this.#state = { name: 'over' }
    this.#events.failed(this, failure)
  }

  exited(code: number | null, signal: NodeJS.Signals | null, usage: ProcessUsage | undefined): void {
    if (this.#state.name !== 'running') return
    const { pid } = this.#state.process
    this.#state = { name: 'over' }
    this.#events.exited(this, pid, { code, signal, usage })
  }
}

/** The code of a launch whose connection could not be opened or made. Not ENOENT: that would mean the program. */
export function connectionErrorCode(error: unknown): string {
  return isOutOfDescriptors(error) ? ((error as NodeJS.ErrnoException).code as string) : 'ECONNREFUSED'
}

function destroyAtEnd(stream: StreamConnection): void {
  // The worker does not take the end of a stream for that of a command before it knows that one was started.
  if (!(stream instanceof Socket) || stream.readableEnded) stream.destroy()
  else stream.once('end', () => stream.destroy()).resume()
}
