/** The launches of a keeper: queued, opening their connections, or running. */

import { platform } from '../platform/current.js'
import { connectionHeader } from '../wire/connection-header.js'
import { encodeEnvironment } from '../wire/framing.js'
import type { KeeperMessage, LaunchFailure, LaunchRequest } from '../wire/messages.js'
import { streamPipe } from '../wire/stream-pipe.js'
import type { KeeperChannel } from './keeper-channel.js'
import type { KeeperHealthCheck } from './keeper-health-check.js'
import { nextRequestId } from './sequence-numbers.js'
import type { StdioServerAddress } from './stdio-server-address.js'

// How many launches may open their connections at a time. The backlog of a socket is 128 on the oldest
// kernels (net.core.somaxconn before Linux 5.4), and a connection beyond it fails with EAGAIN.
const maxOpening = 40

/** How a command has ended, and what it has used, as far as that is known. */
export type CommandExit = Pick<KeeperMessage & { type: 'exited' }, 'code' | 'signal' | 'usage'>

/** The events of one launch. */
export interface LaunchListener {
  /**
   * Opens a connection for each piped stream, or listens for it. The first bytes of each are its header.
   */
  connect(path: string, headerOf: (connection: number) => string): void
  /** The keeper has made a pipe for each of them: connects, and calls `onConnected` when all are connected. */
  connectToPipes(pipeOf: (connection: number) => string, onConnected: () => void): void
  spawned(pid: number): void
  failed(failure: LaunchFailure): void
  exited(exit: CommandExit): void
  /**
   * The worker's rights are no longer those that it started the keeper with: launch it at the next keeper.
   */
  refused(): void
}

/**
 * What to launch. The environment is the command's own, or the JSON of the worker's at the time of the call.
 */
export interface LaunchOrder extends Omit<LaunchRequest, 'env'> {
  readonly env: Readonly<Record<string, string>> | string
}

/** Writes to the worker's log. */
export type WriteLog = (level: 'warn' | 'error', fields: object, message: string) => void

export interface LaunchQueueParts {
  readonly channel: KeeperChannel
  readonly healthCheck: KeeperHealthCheck
  /** Whether the worker still has the rights that it started the keeper with. */
  readonly hasRights: () => boolean
  readonly log: WriteLog
}

interface WaitingLaunch {
  readonly id: number
  readonly scope: number
  readonly order: LaunchOrder
  readonly listener: LaunchListener
  /** Signals that were sent to the command before its launch. */
  readonly signals: NodeJS.Signals[]
}

export class LaunchQueue {
  readonly #parts: LaunchQueueParts
  /** Of all launches that have neither failed nor exited. */
  readonly #listeners = new Map<number, LaunchListener>()
  #waiting: WaitingLaunch[] = []
  /** Launches that were sent and not answered: they may be opening their connections. */
  readonly #opening = new Set<number>()
  /** Undefined until the keeper is ready. */
  #server: StdioServerAddress | undefined
  /** Whether the keeper makes the pipes of each launch. */
  #keeperMakesPipes = false
  #isReopening = false
  /** The worker's environment that the keeper has, as JSON. */
  #sentEnvironment: string | undefined

  constructor(parts: LaunchQueueParts) {
    this.#parts = parts
  }

  /** Whether a command waits or runs. */
  get any(): boolean {
    return this.#listeners.size > 0
  }

  /** Whether the keeper has yet to answer. */
  get isAwaitingAnswer(): boolean {
    return this.#isReopening || this.#opening.size > 0
  }

  /** Queues a launch and returns its id. `listener` receives its events. */
  add(scope: number, order: LaunchOrder, listener: LaunchListener): number {
    const { channel } = this.#parts
    const id = nextRequestId()
    this.#listeners.set(id, listener)
    this.#waiting.push({ id, scope, order, listener, signals: [] })
    channel.hold()
    // A command without connections starts even if the event loop is blocked from here on.
    if (!needsConnections({ order })) channel.sendBatch()
    return id
  }

  /** Signals the command, or remembers the signal until its launch is sent. */
  signal(id: number, signal: NodeJS.Signals): void {
    const waiting = this.#waiting.find((launch) => launch.id === id)
    if (waiting === undefined) this.#parts.channel.send({ type: 'signal', id, signal })
    else waiting.signals.push(signal)
  }

  /** Cancels the waiting launches of a scope that closes. */
  cancelScope(scope: number): void {
    this.#cancel((launch) => launch.scope === scope, 'ECANCELED')
  }

  /** The keeper is ready. */
  start(server: StdioServerAddress, makesPipes: boolean): void {
    this.#server = server
    this.#keeperMakesPipes = makesPipes
    this.sendWaiting()
  }

  /** Sends waiting launches, as many as may open their connections now. */
  sendWaiting(): void {
    const { channel, healthCheck } = this.#parts
    // The rights may have changed since the launch was queued. It is then for the next keeper.
    if (this.#waiting.length > 0 && !this.#parts.hasRights()) return
    if (this.#server === undefined || this.#waiting.length === 0 || !this.#isServerThere(this.#server)) return
    const { path, secret } = this.#server
    while (this.#waiting.length > 0 && this.#opening.size < maxOpening) {
      const { id, scope, order, listener, signals } = this.#waiting.shift() as WaitingLaunch
      this.#opening.add(id)
      healthCheck.start()
      channel.sendInBatch({ type: 'launch', id, scope, request: this.#requestOf(order) })
      for (const signal of signals) channel.sendInBatch({ type: 'signal', id, signal })
      if (!this.#keeperMakesPipes)
        listener.connect(path, (connection) => connectionHeader(secret, connection))
    }
  }

  /** The keeper has made the pipes of a launch: has them connected, and tells the keeper. */
  pipesMade(id: number): void {
    if (this.#server === undefined) return
    const { path, secret } = this.#server
    this.#listeners.get(id)?.connectToPipes(
      (connection) => streamPipe(path, connectionHeader(secret, connection)),
      () => this.#parts.channel.send({ type: 'pipes-connected', id })
    )
  }

  /** Passes an event of a launch on to its listener. */
  receive(message: KeeperMessage & { type: 'spawned' | 'failed' | 'exited' | 'refused' }): void {
    switch (message.type) {
      case 'spawned':
        this.#listeners.get(message.id)?.spawned(message.pid)
        this.#answered(message.id)
        break
      case 'failed':
        this.#take(message.id)?.failed(message.failure)
        this.#answered(message.id)
        break
      case 'exited':
        this.#take(message.id)?.exited(message)
        break
      case 'refused':
        this.#take(message.id)?.refused()
        this.#answered(message.id)
    }
  }

  /** The keeper has opened its stdio server again, or could not. */
  serverReopened({ path, why }: KeeperMessage & { type: 'stdio-server-reopened' }): void {
    const { log } = this.#parts
    this.#isReopening = false
    if (path === undefined) {
      log('error', { why }, "the keeper's socket was removed, and the keeper could not open a new one")
      this.#cancel(needsConnections, 'ERR_SUBPROCESS_KEEPER_LOST')
    } else if (this.#server !== undefined) {
      log('warn', { path }, "the keeper's socket was removed, and the keeper has opened a new one")
      this.#server.moveTo(path)
    }
    this.sendWaiting()
  }

  /** The worker's rights have changed: the waiting launches are for the next keeper. */
  refuseWaiting(): void {
    this.#isReopening = false
    for (const { id } of this.#waiting.splice(0)) this.#take(id)?.refused()
  }

  /** The keeper is lost: fails every launch, also of commands that run. */
  failAll(): void {
    for (const listener of this.#listeners.values()) {
      listener.failed({
        code: 'ERR_SUBPROCESS_KEEPER_LOST',
        message: 'The keeper process ended unexpectedly'
      })
    }
    this.#listeners.clear()
    this.#waiting = []
  }

  /** If the keeper's socket is gone, asks for a new one. Launches wait until it is there. */
  #isServerThere(server: StdioServerAddress): boolean {
    const { channel, healthCheck } = this.#parts
    if (this.#isReopening) return false
    if (!this.#waiting.some(needsConnections) || server.exists()) return true
    this.#isReopening = true
    healthCheck.start()
    channel.send({ type: 'reopen-stdio-server' })
    return false
  }

  /** The worker's environment rarely changes: it is sent only when it has. */
  #requestOf({ env, ...request }: LaunchOrder): LaunchRequest {
    if (typeof env !== 'string') return { ...request, env }
    if (env !== this.#sentEnvironment) {
      this.#sentEnvironment = env
      this.#parts.channel.write(encodeEnvironment(env))
    }
    return request
  }

  #cancel(isCancelled: (launch: WaitingLaunch) => boolean, code: string): void {
    const waiting = this.#waiting
    this.#waiting = waiting.filter((launch) => !isCancelled(launch))
    for (const { id, order, listener } of waiting.filter(isCancelled)) {
      this.#listeners.delete(id)
      listener.failed({ code, message: `spawn ${order.file} ${code}` })
    }
  }

  #answered(id: number): void {
    this.#opening.delete(id)
    this.sendWaiting()
  }

  #take(id: number): LaunchListener | undefined {
    const listener = this.#listeners.get(id)
    this.#listeners.delete(id)
    return listener
  }
}

/** Whether the worker has to connect to the keeper for it. */
function needsConnections({ order }: Pick<WaitingLaunch, 'order'>): boolean {
  return !platform.usesNamedPipes && order.stdio.some((target) => typeof target === 'number')
}
