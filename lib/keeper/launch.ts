/** Starting a command: the keeper waits for its stdio connections, spawns it, and tells how it went. */

import type { Socket } from 'node:net'
import type { ScopeRecord } from '../containment/members.js'
import { shortCommand } from '../platform/linux.js'
import type { LaunchFailure, LaunchRequest } from './protocol.js'
import type { Start, Started } from './start.js'
import type { StdioDoor } from './stdio-door.js'

// Connections that were made come at once. One that has not come by then was dropped: no descriptors left.
const connectedWithinMs = 10_000

/** What becomes of a launch; each is called once at most. */
export interface LaunchEvents {
  spawned(launch: Launch, pid: number): void
  failed(launch: Launch, failure: LaunchFailure): void
  exited(launch: Launch, pid: number, code: number | null, signal: NodeJS.Signals | null): void
}

/** A request with its environment. */
export type KnownRequest = LaunchRequest & Required<Pick<LaunchRequest, 'env'>>

export class Launch {
  readonly id: number
  readonly scope: ScopeRecord
  readonly #request: KnownRequest
  readonly #start: Start
  readonly #events: LaunchEvents
  #state: 'waiting' | 'running' | 'over' = 'waiting'
  #process: Started | undefined
  /** What the user sent before the process was there. */
  readonly #signalsDue: NodeJS.Signals[] = []
  #patience: NodeJS.Timeout | undefined

  constructor(id: number, scope: ScopeRecord, request: KnownRequest, start: Start, events: LaunchEvents) {
    this.id = id
    this.scope = scope
    this.#request = request
    this.#start = start
    this.#events = events
  }

  /** The command line, for a person to read. */
  get command(): string {
    return shortCommand(this.#request.args.join(' '))
  }

  /** The connections that are to be its standard streams. */
  get connections(): number[] {
    return this.#request.stdio.filter((target) => typeof target === 'number')
  }

  /** Spawns the command as soon as all its connections have come. */
  startWhenConnected(door: StdioDoor): void {
    if (this.#state !== 'waiting') return
    if (!this.connections.every((connection) => door.has(connection))) {
      this.#patience ??= setTimeout(() => this.abandon('EMFILE'), connectedWithinMs)
      return
    }
    clearTimeout(this.#patience)
    const sockets: Socket[] = []
    const stdio = this.#request.stdio.map((target) => {
      if (typeof target !== 'number') return target
      const socket = door.take(target) as Socket
      sockets.push(socket)
      return socket
    })
    this.#spawn(stdio, sockets)
  }

  /** Gives a launch up that still waits for its connections. */
  abandon(code: string): void {
    if (this.#state === 'waiting') this.#fail({ code, message: `spawn ${this.#request.file} ${code}` })
  }

  /** Sends a signal to the process itself, as `ChildProcess.kill` does. */
  signal(signal: NodeJS.Signals): void {
    if (this.#state === 'waiting') this.#signalsDue.push(signal)
    else if (this.#state === 'running') this.#process?.kill(signal)
  }

  #spawn(stdio: ('inherit' | 'ignore' | Socket)[], sockets: readonly Socket[]): void {
    const process = this.#start(
      { ...this.#request, mark: this.scope.mark, stdio },
      {
        failed: (failure) => this.#fail(failure, sockets),
        exited: (code, signal) => {
          const { pid } = this.#process as Started
          this.#state = 'over'
          this.#events.exited(this, pid, code, signal)
        }
      }
    )
    if (process === undefined) return
    this.#process = process
    // The subprocess has its own copies. With ours open, the worker would never see them end.
    for (const socket of sockets) socket.destroy()
    this.#state = 'running'
    this.#events.spawned(this, process.pid)
    for (const signal of this.#signalsDue) process.kill(signal)
  }

  #fail(failure: LaunchFailure, sockets: readonly Socket[] = []): void {
    this.#state = 'over'
    clearTimeout(this.#patience)
    // The worker closes its ends when it hears of the failure. Were ours closed first, it could take the end
    // of the output for that of a command which had nothing to say.
    for (const socket of sockets) destroyAtEnd(socket)
    this.#events.failed(this, failure)
  }
}

function destroyAtEnd(socket: Socket): void {
  if (socket.readableEnded) socket.destroy()
  else socket.once('end', () => socket.destroy()).resume()
}
