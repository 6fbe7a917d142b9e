/** The life of one keeper as its worker sees it: starting, open, retired, ending or lost. */

import type { Containment } from '../containment-level.js'
import { platform } from '../platform/current.js'
import type { ExceededLimit } from '../scope-limits.js'
import { EventLoopTurns } from '../time/event-loop-turns.js'
import { connectionHeader, watchConnection } from '../wire/connection-header.js'
import type { KeeperMessage } from '../wire/messages.js'
import { removeSocketFolder } from '../wire/socket-folder.js'
import { KeeperChannel } from './keeper-channel.js'
import { KeeperHealthCheck } from './keeper-health-check.js'
import { KeeperProcess } from './keeper-process.js'
import { LaunchQueue, type WriteLog } from './launch-queue.js'
import { PendingRequests } from './pending-requests.js'
import { RightsAtStart } from './rights-at-start.js'
import { outsideRequests } from './run-outside-requests.js'
import type { KeeperStart } from './spawn-keeper.js'
import { StdioServerAddress } from './stdio-server-address.js'

/** `starting`: the keeper takes orders, and launches wait until it is ready. */
type State = 'starting' | 'open' | 'ending' | 'lost'

/**
 * Called at once, before any event of the commands. Returns what is left to do: many scopes may exceed their limits at
 * the same time.
 */
export type OnLimitExceeded = (exceeded: ExceededLimit) => () => void

export class KeeperLifecycle {
  /** Resolves when the keeper is ready. Rejects with `ERR_SUBPROCESS_KEEPER_START`. */
  readonly ready: Promise<void>
  /** The keeper's file. The watch thread runs the same file. */
  readonly entry: string
  /** What the marks of all scopes of this worker begin with. */
  readonly workerMark: string
  protected readonly channel: KeeperChannel
  protected readonly requests: PendingRequests
  protected readonly launches: LaunchQueue
  /** The scopes that are not closed. */
  protected readonly openScopes = new Set<number>()
  readonly #log: WriteLog
  readonly #process: KeeperProcess
  readonly #turns = new EventLoopTurns()
  #state: State = 'starting'
  /** Undefined until the keeper is ready. */
  #greeting: (KeeperMessage & { type: 'ready' }) | undefined
  /** Undefined until the keeper is ready. */
  #stdioServer: StdioServerAddress | undefined
  readonly #onLost = new Set<() => void>()
  /** By the number of the scope. */
  readonly #onLimitExceeded = new Map<number, OnLimitExceeded>()
  readonly #rights = new RightsAtStart()
  readonly #onRetired: () => void
  #isRetired = false
  /** Whether the keeper is to end when it has no scopes and no commands left. */
  #endsWhenUnused = false

  /**
   * Starts a keeper, which takes orders at once. `onRetired` is called when the worker's rights are found to
   * have changed. Throws what `child_process.spawn` throws.
   */
  constructor(start: KeeperStart, log: WriteLog, onRetired: () => void) {
    this.entry = start.entry
    this.workerMark = start.workerMark
    this.#log = log
    this.#onRetired = onRetired
    this.#process = new KeeperProcess(start, () => this.#lose())
    const healthCheck = new KeeperHealthCheck({
      isWaiting: () => (this.requests.any || this.launches.isAwaitingAnswer) && !this.isLost,
      isStarting: () => this.#state === 'starting',
      processorWaitMs: () => platform.processorWaitOf(this.pid),
      ping: () => this.channel.send({ type: 'ping' }),
      onStuck: () => this.#process.kill()
    })
    this.channel = new KeeperChannel(this.#process.socket, {
      onBytes: () => healthCheck.bytesReceived(),
      onMessage: (message) => this.#onMessage(message),
      onClose: () => this.#turns.add(() => this.#lose()),
      beforeBatch: () => this.launches.sendWaiting()
    })
    this.requests = new PendingRequests(this.channel, healthCheck)
    this.launches = new LaunchQueue({
      channel: this.channel,
      healthCheck,
      hasRights: () => this.hasRights,
      log
    })
    const rights = this.#rights.text
    if (rights !== undefined) this.channel.send({ type: 'rights', rights })
    this.ready = this.#becomeReady()
    // Those who need the keeper wait for this promise. All others learn of a failure by `onLost`.
    this.ready.catch(() => {})
  }

  /** Process id of the keeper; 0 if it could not be started. */
  get pid(): number {
    return this.#process.pid
  }

  /** Resolves when the keeper process has ended for any reason. */
  get ended(): Promise<void> {
    return this.#process.ended
  }

  /** Undefined until the keeper is ready. */
  get containment(): Containment | undefined {
    return this.#greeting?.containment
  }

  /** Why the containment is not the best one of this system. */
  get whyNotBest(): string | undefined {
    return this.#greeting?.why
  }

  /** The directory of the worker's cgroup. Undefined if the keeper has none. */
  protected get cgroup(): string | undefined {
    return this.#greeting?.cgroup
  }

  /** Whether the keeper still takes orders. */
  get isOpen(): boolean {
    return this.#state === 'starting' || this.#state === 'open'
  }

  /**
   * Checks whether the worker still has the rights that it started the keeper with. If not, retires the
   * keeper.
   */
  get hasRights(): boolean {
    if (!this.#isRetired && this.isOpen && this.#rights.haveChanged()) this.#retire()
    return !this.#isRetired
  }

  /** Whether the worker's rights were found to have changed: new commands are for the next keeper. */
  get isRetired(): boolean {
    return this.#isRetired
  }

  /** Whether the keeper has ended for any reason, or could not be started. */
  protected get isLost(): boolean {
    return this.#state === 'lost'
  }

  /** Calls back when the keeper is lost. Returns a function that removes the callback. */
  onLost(callback: () => void): () => void {
    this.#onLost.add(callback)
    return () => this.#onLost.delete(callback)
  }

  /** Calls back when the processes of this scope have exceeded a limit, before it tells what becomes of them. */
  onLimitExceeded(scope: number, callback: OnLimitExceeded): void {
    this.#onLimitExceeded.set(scope, callback)
  }

  /**
   * Where the watch thread connects to the keeper, and the header it sends. Undefined until the keeper is
   * ready.
   */
  get watchTarget(): { path: string; header: string } | undefined {
    if (this.#stdioServer === undefined) return undefined
    const { path, secret } = this.#stdioServer
    return { path, header: connectionHeader(secret, watchConnection) }
  }

  /** Keeps the worker's event loop alive until `unref` has been called as often. */
  ref(): void {
    this.channel.ref()
  }

  unref(): void {
    this.channel.unref()
  }

  /** Ends the keeper and everything that it still runs. Resolves when the keeper process has ended. */
  async end(): Promise<void> {
    if (this.isOpen) {
      this.#state = 'ending'
      this.channel.send({ type: 'dismiss' })
    }
    await this.#process.end()
  }

  /**
   * Another keeper takes over. This one ends, and its socket in the worker closes, once it runs nothing more.
   */
  endWhenUnused(): void {
    this.#endsWhenUnused = true
    this.channel.send({ type: 'retire' })
    this.#endIfUnused()
  }

  #endIfUnused(): void {
    const isUsed = this.openScopes.size > 0 || this.launches.any
    if (this.#endsWhenUnused && this.isOpen && !isUsed) void this.end()
  }

  async #becomeReady(): Promise<void> {
    await this.#process.ready
    // The keeper does not keep the worker alive. Only the wait for its start and for its end does.
    if (this.#state !== 'open') return
    this.#process.unref()
    this.channel.unrefIfUnused()
  }

  #onMessage(message: KeeperMessage): void {
    if (message.type === 'limit-exceeded') {
      const closeScope = this.#onLimitExceeded.get(message.scope)?.(message.exceeded)
      if (closeScope !== undefined) this.#turns.add(closeScope)
      return
    }
    this.#turns.add(() => this.#receive(message))
    if (message.type === 'ready') this.#process.markReady()
    else if (message.type === 'start-failed') this.#process.markFailed(message.why)
  }

  #receive(message: KeeperMessage): void {
    switch (message.type) {
      case 'start-failed':
        break
      case 'ready':
        this.#greeting = message
        this.#stdioServer = new StdioServerAddress(message.path, message.secret)
        if (this.#state === 'starting') this.#state = 'open'
        this.launches.start(this.#stdioServer, message.makesPipes === true)
        break
      case 'stdio-server-reopened':
        this.launches.serverReopened(message)
        break
      case 'pipes-made':
        this.launches.pipesMade(message.id)
        break
      case 'spawned':
      case 'failed':
      case 'exited':
      case 'refused':
        this.launches.receive(message)
        break
      case 'retired':
        this.#retire()
        break
      case 'log':
        this.#log(message.level, message.fields, message.message)
        break
      case 'find-adopter':
        void this.#findAdopter()
        break
      case 'listed':
      case 'terminated':
      case 'hooks-added':
      case 'pong':
        this.requests.receive(message)
        break
      case 'closed':
        this.requests.receive(message)
        this.openScopes.delete(message.scope)
        this.#onLimitExceeded.delete(message.scope)
    }
    this.#endIfUnused()
  }

  /** The worker finds out which process adopts its orphans: the keeper itself adopts its own. */
  async #findAdopter(): Promise<void> {
    const pid = await outsideRequests(platform.findOrphanAdopter)
    this.channel.send({ type: 'adopter', pid })
  }

  /** Starts nothing more at this keeper. */
  #retire(): void {
    if (this.#isRetired) return
    this.#isRetired = true
    this.#onRetired()
    this.launches.refuseWaiting()
  }

  #lose(): void {
    if (this.#state === 'lost') return
    const wasAsked = this.#state === 'ending'
    this.#state = 'lost'
    this.#rights.close()
    // A keeper that ends by itself removes the directory of its socket. One that was killed does not.
    if (!wasAsked && this.#stdioServer !== undefined)
      removeSocketFolder(platform.folderOf(this.#stdioServer.path))
    // Scopes first: they record what was running before it fails.
    if (!wasAsked) for (const callback of this.#onLost) callback()
    this.launches.failAll()
    this.requests.abandonAll()
  }
}
