/** The worker's end of the keeper: starts it, asks it, and hears from it. */

import type { ChildProcess } from 'node:child_process'
import { statSync } from 'node:fs'
import type { Socket } from 'node:net'
import { dirname } from 'node:path'
import pTimeout from 'p-timeout'
import { SubprocessError } from '../errors.js'
import { canLose, parentOfOrphans, processorWaitOf, Rights, type ScopeProcess } from '../platform/current.js'
import { EventLoopTurns } from '../time/event-loop-turns.js'
import { connectionHeader, watchConnection } from '../wire/connection-header.js'
import { Decoder, encode, encodeEnvironment } from '../wire/framing.js'
import { markOf, workerScope } from '../wire/mark.js'
import type {
  Containment,
  EndedProcess,
  ExternalCommand,
  KeeperMessage,
  KeeperReport,
  LaunchFailure,
  LaunchRequest,
  ListedMessage,
  ProcessName,
  ScopeFolder,
  ScopeOpening,
  WorkerMessage,
  WorkerSettings
} from '../wire/messages.js'
import { removeSocketFolder } from '../wire/socket-folder.js'
import { KeeperHealthCheck } from './keeper-health-check.js'
import { outsideRequests } from './outside-requests.js'
import { spawnKeeper, wayOutOf } from './spawn-keeper.js'

// A keeper is ready in a tenth of a second. On a machine that swaps it may be a hundred times slower.
const readyWithinMs = 30_000
// A keeper that is to end has nothing to do by then but to look once more.
const endedWithinMs = 15_000
// How many launches may be opening their connections at once. A socket's backlog is 128 on the oldest kernels
// (net.core.somaxconn before Linux 5.4), and a connection above it fails with EAGAIN.
const mostOpening = 40

// Of all keepers that this worker has one after the other: while it ends what a lost one had running, by its marks,
// the next one must not use these.
let lastScope = workerScope
// The same: a scope may have commands at two keepers.
let lastLaunch = 0
let lastConnection = watchConnection

/** What the link tells one subprocess. */
export interface LaunchListener {
  /** Opens the connections of the piped streams, each with its header as its first bytes. */
  connect(path: string, headerOf: (connection: number) => string): void
  spawned(pid: number): void
  failed(failure: LaunchFailure): void
  exited(code: number | null, signal: NodeJS.Signals | null): void
  /** The worker has other rights than the keeper was started with: the next keeper is to be asked. */
  refused(): void
}

/** What is asked of a launch. Its environment is one of its own, or the worker's at the time of the call, as JSON. */
export interface LaunchOrder extends Omit<LaunchRequest, 'env'> {
  readonly env: Readonly<Record<string, string>> | string
}

interface WaitingLaunch {
  readonly id: number
  readonly scope: number
  readonly order: LaunchOrder
  readonly listener: LaunchListener
  /** Signals that the user has sent already. */
  readonly signals: NodeJS.Signals[]
}

/** Puts what the keeper has to say into the worker's log. */
export type Say = (level: 'warn' | 'error', fields: object, message: string) => void

/** `starting`: it takes orders, and launches wait until it is ready. */
type State = 'starting' | 'open' | 'ending' | 'lost'

export class KeeperLink {
  /** Resolves when the keeper is ready. Rejects with `ERR_SUBPROCESS_KEEPER_START`. */
  readonly ready: Promise<void>
  /** Resolves when the keeper process has ended, as asked or not. */
  readonly ended: Promise<void>
  /** The keeper's file, which is also that of the thread that watches. */
  readonly entry: string
  /** What the marks of all scopes of this worker begin with. */
  readonly workerMark: string
  /** The keeper that was started in place of this one, which is lost; undefined while there is none. */
  successor: KeeperLink | undefined
  readonly #say: Say
  readonly #child: ChildProcess
  /** Undefined where Node opened no streams at all, for want of descriptors. */
  readonly #socket: Socket | undefined
  #greeting: (KeeperMessage & { type: 'ready' }) | undefined
  readonly #listeners = new Map<number, LaunchListener>()
  readonly #closing = new Map<number, (report: KeeperReport | undefined) => void>()
  readonly #lists = new Map<number, (answer: ListedMessage) => void>()
  readonly #terminating = new Map<number, (processes: readonly EndedProcess[] | undefined) => void>()
  readonly #addingHooks = new Map<number, (why: string | undefined) => void>()
  /** Launches whose connections are being opened: until the keeper has answered. */
  readonly #opening = new Set<number>()
  #waiting: WaitingLaunch[] = []
  /** The keeper's socket, by its inode. */
  #door: bigint | undefined
  #isDoorAsked = false
  readonly #turns = new EventLoopTurns()
  /** The worker's environment as the keeper has been told of it, as JSON. */
  #toldEnvironment: string | undefined
  /** Whether messages are held back until this turn of the loop has said all that it has to say. */
  #isHolding = false
  readonly #vigil = new KeeperHealthCheck({
    isWaiting: () => this.#isWaitedFor && this.#state !== 'lost',
    isStarting: () => this.#state === 'starting',
    waitedMs: () => processorWaitOf(this.pid),
    ping: () => this.#send({ type: 'ping' }),
    giveUp: () => this.#giveUp()
  })
  #references = 0
  #state: State = 'starting'
  readonly #onLost = new Set<() => void>()
  /** Those of the worker, now and when the keeper was started. */
  readonly #rights = Rights.of(process.pid)
  readonly #firstRights = this.#rights?.read()
  /** Whether the worker has other rights now. */
  #isRetired = false
  /** Whether there is another keeper. What runs here ends with its scopes, and then the keeper. */
  #isSucceeded = false
  readonly #onRetired: () => void
  readonly #openScopes = new Set<number>()

  /** Starts a keeper for the worker of that mark. It takes orders at once. */
  constructor(entry: string, workerMark: string, say: Say, onRetired: () => void) {
    this.entry = entry
    this.workerMark = workerMark
    this.#say = say
    this.#onRetired = onRetired
    this.#child = spawnKeeper(entry, workerMark)
    this.#socket = this.#child.stdio?.[3] as Socket | undefined
    this.ended = new Promise((resolve) => {
      this.#child.once('exit', () => resolve())
      this.#child.once('error', () => resolve())
    })
    // A server does not end because it may not signal a keeper that it started with other rights.
    this.#child.on('error', () => {})
    const rights = this.#firstRights
    if (rights === undefined || !canLose(rights)) this.#rights?.close()
    else this.#send({ type: 'rights', rights })
    this.ready = this.#becomeReady()
    // Whoever needs it waits for it; the rest hears of its loss.
    this.ready.catch(() => {})
  }

  /** Process id of the keeper; 0 where none could be started. */
  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** Undefined until the keeper is ready. */
  get containment(): Containment | undefined {
    return this.#greeting?.containment
  }

  /** Why containment is below `subreaper`. */
  get why(): string | undefined {
    return this.#greeting?.why
  }

  /** Whether the keeper still takes orders. */
  get isOpen(): boolean {
    return this.#state === 'starting' || this.#state === 'open'
  }

  /** Whether the worker has the rights that the keeper was started with. Where it has not, another keeper has to be asked. */
  get hasRights(): boolean {
    const rights = this.#isRetired || !this.isOpen ? undefined : this.#rights?.read()
    if (rights !== undefined && rights !== this.#firstRights) this.#retire()
    return !this.#isRetired
  }

  /** Whether the worker's rights were found to be others. */
  get isRetired(): boolean {
    return this.#isRetired
  }

  /** Calls back when the keeper is lost. Returns how to take that back. */
  onLost(callback: () => void): () => void {
    this.#onLost.add(callback)
    return () => this.#onLost.delete(callback)
  }

  /** Announces a scope and returns its number, which is a new one unless another keeper has the scope as well. */
  openScope(opening: ScopeOpening, scope = ++lastScope): number {
    this.#openScopes.add(scope)
    this.#sendLater({ type: 'open', scope, opening })
    return scope
  }

  /** Announces a scope that a lost keeper of this worker had. */
  inheritScope(scope: number, opening: ScopeOpening): void {
    this.#openScopes.add(scope)
    this.#sendLater({ type: 'open', scope, opening, isInherited: true })
  }

  /** Tells of another deadline of the scope, by the clock that all processes share; undefined for none. */
  setDeadline(scope: number, deadlineAt: number | undefined): void {
    this.#send({ type: 'deadline', scope, deadlineAt })
  }

  /** Has the keeper run the hooks of a module. Rejects when it has none that could be run. */
  addHooks(url: string): Promise<void> {
    if (this.#state === 'lost') return Promise.reject(new Error('there is no keeper that could run them'))
    return this.#answer((resolve, reject) => {
      const id = ++lastLaunch
      this.#addingHooks.set(id, (why) => (why === undefined ? resolve() : reject(new Error(why))))
      this.#send({ type: 'add-hooks', id, url })
    })
  }

  removeHooks(url: string): void {
    this.#send({ type: 'remove-hooks', url })
  }

  /** Says that the event loop is not blocked. */
  beat(): void {
    this.#send({ type: 'heartbeat' })
  }

  /** Where a thread of this worker can be asked by the keeper, and what it says there first. */
  get watchPoint(): { path: string; header: string } | undefined {
    if (this.#greeting === undefined) return undefined
    const { path, secret } = this.#greeting
    return { path, header: connectionHeader(secret, watchConnection) }
  }

  /** Tells how the worker itself is to be treated. */
  settle(settings: WorkerSettings): void {
    this.#send({ type: 'settings', settings })
  }

  /**
   * Ends all that the scope runs. Resolves when it is proven gone or named as a survivor; with undefined when
   * the keeper was lost before it could say so, or has refused the scope.
   */
  closeScope(scope: number): Promise<KeeperReport | undefined> {
    this.#cancelWaiting((launch) => launch.scope === scope, 'ECANCELED')
    if (this.#state === 'lost') return Promise.resolve(undefined)
    return this.#answer((resolve) => {
      this.#closing.set(scope, resolve)
      this.#send({ type: 'close', scope })
    })
  }

  /**
   * Ends one command of the scope, with all that it has started. Resolves with how each process ended, when that is proven;
   * with undefined when the keeper was lost before it could say so.
   */
  terminate(
    scope: number,
    command: number,
    killSignal: NodeJS.Signals
  ): Promise<readonly EndedProcess[] | undefined> {
    if (this.#state === 'lost') return Promise.resolve(undefined)
    return this.#answer((resolve) => {
      const id = ++lastLaunch
      this.#terminating.set(id, resolve)
      this.#send({ type: 'terminate', id, scope, command, killSignal })
    })
  }

  /** A number for a command that the keeper does not start. */
  nextCommandNumber(): number {
    return ++lastLaunch
  }

  /** Has the scope take in a process that the keeper did not start. */
  adopt(
    scope: number,
    process: ProcessName,
    command: ExternalCommand = { number: this.nextCommandNumber() }
  ): void {
    this.#send({ type: 'adopt', scope, process, command })
  }

  /** A process that the scope took in has ended and was collected: its number is anybody's now. */
  reportReaped(scope: number, pid: number): void {
    this.#send({ type: 'reaped', scope, pid })
  }

  /** Has the scope let a process go, with all that descends from it. */
  release(scope: number, pid: number): void {
    this.#send({ type: 'release', scope, pid })
  }

  /** The same for a process that the scope took in. */
  releaseAdopted(scope: number, process: ProcessName): void {
    this.#send({ type: 'release-adopted', scope, process })
  }

  /** Has a folder removed when every process of the scope is gone. */
  addFolder(scope: number, folder: ScopeFolder): void {
    this.#send({ type: 'add-folder', scope, folder })
  }

  /** The processes of the scope that are alive. Rejects when the keeper could not look at them. */
  list(scope: number): Promise<readonly ScopeProcess[]> {
    if (this.#state === 'lost') return Promise.resolve([])
    return this.#answer((resolve, reject) => {
      const id = ++lastLaunch
      this.#lists.set(id, (answer) => {
        if (answer.why === undefined) resolve(answer.processes)
        else reject(unlisted(answer.why))
      })
      this.#send({ type: 'list', id, scope })
    })
  }

  /** The mark that the processes of the scope carry. */
  markOf(scope: number): string {
    return markOf(this.workerMark, scope)
  }

  nextConnectionNumber(): number {
    return ++lastConnection
  }

  /** Asks for a subprocess; its listener hears the rest. Returns the number to name it by. */
  launch(scope: number, order: LaunchOrder, listener: LaunchListener): number {
    const id = ++lastLaunch
    this.#listeners.set(id, listener)
    this.#waiting.push({ id, scope, order, listener, signals: [] })
    this.#hold()
    // A command that needs no connection starts though the event loop is blocked from here on.
    if (!needsConnections({ order })) this.#sendAll()
    return id
  }

  /**
   * A connection of a launch failed with that code, or may have been lost. The keeper knows whether it has it, and whether that
   * came too late to matter.
   */
  stdioLost(id: number, code?: string): void {
    this.#send({ type: 'stdio-lost', id, code })
  }

  signal(id: number, signal: NodeJS.Signals): void {
    const waiting = this.#waiting.find((launch) => launch.id === id)
    if (waiting === undefined) this.#send({ type: 'signal', id, signal })
    else waiting.signals.push(signal)
  }

  /** Keeps the worker's event loop alive until `unref` is called as often. */
  ref(): void {
    if (this.#references++ === 0) this.#socket?.ref()
  }

  unref(): void {
    if (--this.#references === 0) this.#socket?.unref()
  }

  /** Ends the keeper, and with it all that it still runs. Resolves when it is gone. */
  async end(): Promise<void> {
    if (this.isOpen) {
      this.#state = 'ending'
      this.#send({ type: 'dismiss' })
    }
    this.#child.ref()
    this.#socket?.end()
    await pTimeout(this.ended, { milliseconds: endedWithinMs, fallback: () => this.#giveUp() })
  }

  /** It does not answer: it counts as lost. */
  #giveUp(): void {
    // Our own child that was not collected: the number is its own. The end of its socket ends it where it may not be signalled.
    if (!this.#child.kill('SIGKILL')) this.#socket?.destroy()
  }

  /** The next keeper gets what waits here. */
  #retire(): void {
    if (this.#isRetired) return
    this.#isRetired = true
    this.#isDoorAsked = false
    this.#onRetired()
    for (const { id } of this.#waiting.splice(0)) this.#take(id)?.refused()
  }

  /** Another keeper is there. This one ends as soon as it has nothing left to run, and with it its socket in the worker. */
  giveWay(): void {
    this.#isSucceeded = true
    this.#send({ type: 'retire' })
    this.#endWhenUnused()
  }

  #endWhenUnused(): void {
    const isUsed = this.#openScopes.size > 0 || this.#listeners.size > 0
    if (this.#isSucceeded && this.isOpen && !isUsed) void this.end()
  }

  #decode(decoder: Decoder<KeeperMessage>, bytes: Buffer): KeeperMessage[] {
    try {
      return decoder.decode(bytes)
    } catch {
      // What is no message comes from no keeper, and a server does not end of it.
      this.#socket?.destroy()
      return []
    }
  }

  async #becomeReady(): Promise<void> {
    const program = `${process.execPath} ${this.entry}`
    const ready = new Promise<void>((resolve, reject) => {
      const fail = (detail: string, cause?: unknown): void => {
        reject(new SubprocessError('ERR_SUBPROCESS_KEEPER_START', detail, cause))
      }
      const decoder = new Decoder<KeeperMessage>()
      this.#socket?.on('data', (bytes: Buffer) => {
        this.#vigil.heard()
        for (const message of this.#decode(decoder, bytes)) {
          this.#turns.add(() => this.#receive(message))
          if (message.type === 'ready') resolve()
          else if (message.type === 'start-failed') fail(message.why)
        }
      })
      // A keeper that was killed with messages unread resets the connection. 'close' follows.
      this.#socket?.on('error', () => {})
      this.#socket?.once('close', () => this.#turns.add(() => this.#lose()))
      this.#child.once('error', (error) => {
        fail(`${error.message}${wayOutOf(error)}`, error)
        this.#lose()
      })
      this.#child.once('exit', (code, signal) => {
        fail(`${program} ended with ${signal ?? `status ${code}`}; its standard error says why`)
      })
    })
    const message = new SubprocessError(
      'ERR_SUBPROCESS_KEEPER_START',
      `${program} was not ready after ${readyWithinMs} ms`
    )
    try {
      await pTimeout(ready, { milliseconds: readyWithinMs, message })
    } catch (error) {
      // Its socket's end is its own end, unless it is stuck.
      this.#socket?.destroy()
      this.#child.kill('SIGKILL')
      throw error
    }
    // A keeper is no reason for its worker to stay, but for the wait for its end.
    if (this.#state !== 'open') return
    this.#child.unref()
    if (this.#references === 0) this.#socket?.unref()
  }

  /** Whether something was asked that the keeper has not answered. */
  get #isWaitedFor(): boolean {
    const asked = [this.#closing, this.#opening, this.#lists, this.#terminating, this.#addingHooks]
    return this.#isDoorAsked || asked.some(({ size }) => size > 0)
  }

  /** An answer that the worker waits for, and stays for. */
  #answer<Result>(
    ask: (resolve: (result: Result) => void, reject: (error: Error) => void) => void
  ): Promise<Result> {
    // First of all: processes may have to end by it.
    const answer = new Promise<Result>(ask)
    this.ref()
    this.#vigil.begin()
    return answer.finally(() => this.unref())
  }

  /** At once: the worker may die, or block its event loop, in its next step. */
  #send(message: WorkerMessage): void {
    this.#sendLater(message)
    this.#flush()
  }

  /**
   * At the end of this turn of the loop, together with what else it has to say: each piece costs a system call and wakes the
   * keeper. For what does nothing before the loop turns.
   */
  #sendLater(message: WorkerMessage): void {
    this.#write(encode(message))
  }

  #write(line: string): void {
    if (!this.#socket?.writable) return
    this.#hold()
    this.#socket.write(line)
  }

  #hold(): void {
    if (this.#isHolding) return
    this.#isHolding = true
    this.#socket?.cork()
    process.nextTick(() => this.#sendAll())
  }

  #sendAll(): void {
    this.#openWaiting()
    this.#flush()
  }

  #flush(): void {
    if (!this.#isHolding) return
    this.#isHolding = false
    this.#socket?.uncork()
  }

  #openWaiting(): void {
    // They may have changed since the call, and the next keeper has to be asked.
    if (this.#waiting.length > 0 && !this.hasRights) return
    if (this.#greeting === undefined || this.#waiting.length === 0 || !this.#isDoorThere(this.#greeting.path))
      return
    const { path, secret } = this.#greeting
    while (this.#waiting.length > 0 && this.#opening.size < mostOpening) {
      const { id, scope, order, listener, signals } = this.#waiting.shift() as WaitingLaunch
      this.#opening.add(id)
      this.#vigil.begin()
      this.#sendLater({ type: 'launch', id, scope, request: this.#requestOf(order) })
      for (const signal of signals) this.#sendLater({ type: 'signal', id, signal })
      listener.connect(path, (connection) => connectionHeader(secret, connection))
    }
  }

  /** Where the keeper's socket is gone, launches wait until there is another one: tools that tidy up remove what looks old. */
  #isDoorThere(path: string): boolean {
    if (this.#isDoorAsked) return false
    if (!this.#waiting.some(needsConnections) || inodeOf(path) === this.#door) return true
    this.#isDoorAsked = true
    this.#vigil.begin()
    this.#send({ type: 'reopen-stdio-server' })
    return false
  }

  #doorFound({ path, why }: KeeperMessage & { type: 'stdio-server-reopened' }): void {
    this.#isDoorAsked = false
    if (path === undefined) {
      this.#say('error', { why }, "the keeper's socket was removed, and it can open no other one")
      this.#cancelWaiting(needsConnections, 'ERR_SUBPROCESS_KEEPER_LOST')
    } else if (this.#greeting !== undefined) {
      this.#say('warn', { path }, "the keeper's socket was removed, and it has opened another one")
      this.#greeting = { ...this.#greeting, path }
      this.#door = inodeOf(path)
    }
    this.#openWaiting()
  }

  /** The worker's own environment hardly ever changes: the keeper is told of it when it does. */
  #requestOf({ env, ...request }: LaunchOrder): LaunchRequest {
    if (typeof env !== 'string') return { ...request, env }
    if (env !== this.#toldEnvironment) {
      this.#toldEnvironment = env
      this.#write(encodeEnvironment(env))
    }
    return request
  }

  #cancelWaiting(isCancelled: (launch: WaitingLaunch) => boolean, code: string): void {
    const waiting = this.#waiting
    this.#waiting = waiting.filter((launch) => !isCancelled(launch))
    for (const { id, order, listener } of waiting.filter(isCancelled)) {
      this.#listeners.delete(id)
      listener.failed({ code, message: `spawn ${order.file} ${code}` })
    }
  }

  #receive(message: KeeperMessage): void {
    switch (message.type) {
      case 'start-failed':
      case 'pong':
        break
      case 'ready':
        this.#greeting = message
        this.#door = inodeOf(message.path)
        if (this.#state === 'starting') this.#state = 'open'
        this.#openWaiting()
        break
      case 'stdio-server-reopened':
        this.#doorFound(message)
        break
      case 'spawned':
        this.#listeners.get(message.id)?.spawned(message.pid)
        this.#answered(message.id)
        break
      case 'failed':
        this.#take(message.id)?.failed(message.failure)
        this.#answered(message.id)
        break
      case 'exited':
        this.#take(message.id)?.exited(message.code, message.signal)
        break
      case 'refused':
        this.#take(message.id)?.refused()
        this.#answered(message.id)
        break
      case 'retired':
        this.#retire()
        break
      case 'listed':
        this.#lists.get(message.id)?.(message)
        this.#lists.delete(message.id)
        break
      case 'terminated':
        this.#terminating.get(message.id)?.(message.processes)
        this.#terminating.delete(message.id)
        break
      case 'log':
        this.#say(message.level, message.fields, message.message)
        break
      case 'find-adopter':
        void this.#findAdopter()
        break
      case 'hooks-added':
        this.#addingHooks.get(message.id)?.(message.why)
        this.#addingHooks.delete(message.id)
        break
      case 'closed':
        this.#closing.get(message.scope)?.(message.report)
        this.#closing.delete(message.scope)
        this.#openScopes.delete(message.scope)
    }
    this.#endWhenUnused()
  }

  /** The keeper's own orphans come to itself. */
  async #findAdopter(): Promise<void> {
    const pid = await outsideRequests(parentOfOrphans)
    this.#send({ type: 'adopter', pid })
  }

  #answered(id: number): void {
    this.#opening.delete(id)
    this.#openWaiting()
  }

  #take(id: number): LaunchListener | undefined {
    const listener = this.#listeners.get(id)
    this.#listeners.delete(id)
    return listener
  }

  #lose(): void {
    if (this.#state === 'lost') return
    const wasAsked = this.#state === 'ending'
    this.#state = 'lost'
    this.#rights?.close()
    // Nobody but a killed keeper leaves its folder.
    if (!wasAsked && this.#greeting !== undefined) removeSocketFolder(dirname(this.#greeting.path))
    // Scopes first: they note what was running, and then it fails.
    if (!wasAsked) for (const callback of this.#onLost) callback()
    for (const listener of this.#listeners.values()) {
      listener.failed({
        code: 'ERR_SUBPROCESS_KEEPER_LOST',
        message: 'The keeper process ended unexpectedly'
      })
    }
    this.#listeners.clear()
    this.#waiting = []
    for (const [id, answer] of this.#lists) answer({ type: 'listed', id, processes: [] })
    this.#lists.clear()
    for (const resolve of this.#terminating.values()) resolve(undefined)
    this.#terminating.clear()
    for (const answer of this.#addingHooks.values()) answer('the keeper ended unexpectedly')
    this.#addingHooks.clear()
    for (const resolve of this.#closing.values()) resolve(undefined)
    this.#closing.clear()
  }
}

function unlisted({
  code,
  message
}: {
  readonly code?: string | undefined
  readonly message: string
}): Error {
  const error = new Error(`the keeper could not look at the processes of the scope: ${message}`)
  return code === undefined ? error : Object.assign(error, { code })
}

function needsConnections({ order }: Pick<WaitingLaunch, 'order'>): boolean {
  return order.stdio.some((target) => typeof target === 'number')
}

/**
 * The number of the socket at that path; undefined where there is none, or none that this user may see. As a BigInt: after a look at
 * a socket for numbers, Node finds no module behind a symbolic link (`realpathSync` in its lib/fs.js asks what was looked at last).
 */
function inodeOf(path: string): bigint | undefined {
  try {
    const stat = statSync(path, { throwIfNoEntry: false, bigint: true })
    return stat?.isSocket() ? stat.ino : undefined
  } catch {
    return undefined
  }
}
