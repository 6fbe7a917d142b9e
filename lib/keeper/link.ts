/** The worker's end of the keeper: starts it, asks it, and hears from it. */

import type { ChildProcess } from 'node:child_process'
import { rmSync } from 'node:fs'
import type { Socket } from 'node:net'
import { dirname } from 'node:path'
import pTimeout from 'p-timeout'
import { SubprocessError } from '../errors.js'
import { markOf, workerScope } from '../mark.js'
import type { ScopeProcess } from '../platform/linux.js'
import { currentRights, type Rights } from '../platform/rights.js'
import { Turns } from '../turns.js'
import {
  type Containment,
  connectionHeader,
  Decoder,
  encode,
  encodeEnvironment,
  type KeeperMessage,
  type KeeperReport,
  type LaunchFailure,
  type LaunchRequest,
  type ProcessName,
  type ScopeOpening,
  type WorkerMessage,
  type WorkerSettings,
  watchConnection
} from './protocol.js'
import { spawnKeeper, wayOutOf } from './spawn-keeper.js'
import { Vigil } from './vigil.js'

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

/** What the link tells one subprocess. */
export interface LaunchListener {
  /** Opens the connections of the piped streams, each with its header as its first bytes. */
  connect(path: string, headerOf: (connection: number) => string): void
  spawned(pid: number): void
  failed(failure: LaunchFailure): void
  exited(code: number | null, signal: NodeJS.Signals | null): void
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
  /** The rights that the keeper has: those of the worker when it was started. */
  readonly rights: Rights = currentRights()
  /** What the marks of all scopes of this worker begin with. */
  readonly workerMark: string
  readonly #say: Say
  readonly #child: ChildProcess
  /** Undefined where Node opened no streams at all, for want of descriptors. */
  readonly #socket: Socket | undefined
  #greeting: (KeeperMessage & { type: 'ready' }) | undefined
  readonly #listeners = new Map<number, LaunchListener>()
  readonly #closing = new Map<number, (report: KeeperReport | undefined) => void>()
  readonly #lists = new Map<number, (processes: readonly ScopeProcess[]) => void>()
  readonly #addingHooks = new Map<number, (why: string | undefined) => void>()
  /** Launches whose connections are being opened: until the keeper has answered. */
  readonly #opening = new Set<number>()
  #waiting: WaitingLaunch[] = []
  readonly #turns = new Turns()
  /** The worker's environment as the keeper has been told of it, as JSON. */
  #toldEnvironment: string | undefined
  /** Whether messages are held back until this turn of the loop has said all that it has to say. */
  #isHolding = false
  readonly #vigil = new Vigil({
    isWaiting: () => this.#closing.size > 0 && this.#state !== 'lost',
    isStarting: () => this.#state === 'starting',
    ping: () => this.#send({ type: 'ping' }),
    giveUp: () => this.#giveUp()
  })
  #references = 0
  #lastLaunch = 0
  #lastConnection = watchConnection
  #state: State = 'starting'
  readonly #onLost = new Set<() => void>()

  /** Starts a keeper for the worker of that mark. It takes orders at once. */
  constructor(workerMark: string, say: Say) {
    this.workerMark = workerMark
    this.#say = say
    this.#child = spawnKeeper(workerMark)
    this.#socket = this.#child.stdio?.[3] as Socket | undefined
    this.ended = new Promise((resolve) => {
      this.#child.once('exit', () => resolve())
      this.#child.once('error', () => resolve())
    })
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

  /** Calls back when the keeper is lost. Returns how to take that back. */
  onLost(callback: () => void): () => void {
    this.#onLost.add(callback)
    return () => this.#onLost.delete(callback)
  }

  /** Announces a scope and returns its number. */
  openScope(opening: ScopeOpening): number {
    const scope = ++lastScope
    this.#sendLater({ type: 'open', scope, opening })
    return scope
  }

  /** Tells of another deadline of the scope, by the clock that all processes share; undefined for none. */
  setDeadline(scope: number, deadlineAt: number | undefined): void {
    this.#send({ type: 'deadline', scope, deadlineAt })
  }

  /** Has the keeper run the hooks of a module. Rejects when it has none that could be run. */
  addHooks(url: string): Promise<void> {
    if (this.#state === 'lost') return Promise.reject(new Error('there is no keeper that could run them'))
    return this.#answer((resolve, reject) => {
      const id = ++this.#lastLaunch
      this.#addingHooks.set(id, (why) => (why === undefined ? resolve() : reject(new Error(why))))
      this.#send({ type: 'add-hooks', id, url })
    })
  }

  removeHooks(url: string): void {
    this.#send({ type: 'remove-hooks', url })
  }

  /** Says that the event loop is not blocked. */
  beat(): void {
    this.#send({ type: 'alive' })
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
   * the keeper was lost before it could say so.
   */
  closeScope(scope: number): Promise<KeeperReport | undefined> {
    this.#cancelWaiting(scope)
    if (this.#state === 'lost') return Promise.resolve(undefined)
    return this.#answer((resolve) => {
      this.#closing.set(scope, resolve)
      this.#send({ type: 'close', scope })
      this.#vigil.begin()
    })
  }

  /** Has the scope take in a process that the keeper did not start. */
  adopt(scope: number, process: ProcessName): void {
    this.#send({ type: 'adopt', scope, process })
  }

  /** A process that the scope took in has ended and was collected: its number is anybody's now. */
  left(scope: number, pid: number): void {
    this.#send({ type: 'left', scope, pid })
  }

  /** Has the scope let a process go, with all that descends from it. */
  release(scope: number, pid: number): void {
    this.#send({ type: 'release', scope, pid })
  }

  /** The same for a process that the scope took in. */
  letGo(scope: number, process: ProcessName): void {
    this.#send({ type: 'let-go', scope, process })
  }

  /** Has a folder removed when every process of the scope is gone. */
  addFolder(scope: number, path: string): void {
    this.#send({ type: 'folder', scope, path })
  }

  /** The processes of the scope that are alive. */
  list(scope: number): Promise<readonly ScopeProcess[]> {
    if (this.#state === 'lost') return Promise.resolve([])
    return this.#answer((resolve) => {
      const id = ++this.#lastLaunch
      this.#lists.set(id, resolve)
      this.#send({ type: 'list', id, scope })
    })
  }

  /** The mark that the processes of the scope carry. */
  markOf(scope: number): string {
    return markOf(this.workerMark, scope)
  }

  nextConnection(): number {
    return ++this.#lastConnection
  }

  /** Asks for a subprocess; its listener hears the rest. Returns the number to name it by. */
  launch(scope: number, order: LaunchOrder, listener: LaunchListener): number {
    const id = ++this.#lastLaunch
    this.#listeners.set(id, listener)
    this.#waiting.push({ id, scope, order, listener, signals: [] })
    this.#hold()
    // A command that needs no connection starts though the event loop is blocked from here on.
    if (!order.stdio.some((target) => typeof target === 'number')) this.#sendAll()
    return id
  }

  /** A connection of a launch failed. The keeper knows whether that came too late to matter. */
  stdioLost(id: number, code: string): void {
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

  /** It does not answer: whatever it still runs, the worker ends. */
  #giveUp(): void {
    // Our own child that was not collected: the number is its own.
    this.#child.kill('SIGKILL')
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
          else if (message.type === 'unready') fail(message.why)
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
        fail(`it ended with ${signal ?? `status ${code}`}; its standard error says why`)
      })
    })
    const message = new SubprocessError(
      'ERR_SUBPROCESS_KEEPER_START',
      `it was not ready after ${readyWithinMs} ms`
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

  /** An answer that the worker waits for, and stays for. */
  #answer<Result>(
    ask: (resolve: (result: Result) => void, reject: (error: Error) => void) => void
  ): Promise<Result> {
    this.ref()
    return new Promise<Result>(ask).finally(() => this.unref())
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
    if (this.#greeting === undefined) return
    const { path, secret } = this.#greeting
    while (this.#waiting.length > 0 && this.#opening.size < mostOpening) {
      const { id, scope, order, listener, signals } = this.#waiting.shift() as WaitingLaunch
      this.#opening.add(id)
      this.#sendLater({ type: 'launch', id, scope, request: this.#requestOf(order) })
      for (const signal of signals) this.#sendLater({ type: 'signal', id, signal })
      listener.connect(path, (connection) => connectionHeader(secret, connection))
    }
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

  #cancelWaiting(scope: number): void {
    const cancelled = this.#waiting.filter((launch) => launch.scope === scope)
    this.#waiting = this.#waiting.filter((launch) => launch.scope !== scope)
    for (const { id, order, listener } of cancelled) {
      this.#listeners.delete(id)
      listener.failed({ code: 'ECANCELED', message: `spawn ${order.file} ECANCELED` })
    }
  }

  #receive(message: KeeperMessage): void {
    switch (message.type) {
      case 'unready':
      case 'pong':
        break
      case 'ready':
        this.#greeting = message
        if (this.#state === 'starting') this.#state = 'open'
        this.#openWaiting()
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
      case 'listed':
        this.#lists.get(message.id)?.(message.processes)
        this.#lists.delete(message.id)
        break
      case 'say':
        this.#say(message.level, message.fields, message.message)
        break
      case 'hooks-added':
        this.#addingHooks.get(message.id)?.(message.why)
        this.#addingHooks.delete(message.id)
        break
      case 'closed':
        this.#closing.get(message.scope)?.(message.report)
        this.#closing.delete(message.scope)
    }
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
    // Nobody but a killed keeper leaves its folder.
    if (!wasAsked && this.#greeting !== undefined) {
      rmSync(dirname(this.#greeting.path), { recursive: true, force: true })
    }
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
    for (const resolve of this.#lists.values()) resolve([])
    this.#lists.clear()
    for (const answer of this.#addingHooks.values()) answer('the keeper ended unexpectedly')
    this.#addingHooks.clear()
    for (const resolve of this.#closing.values()) resolve(undefined)
    this.#closing.clear()
  }
}
