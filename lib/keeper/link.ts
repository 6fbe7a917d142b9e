/** The worker's end of the keeper: starts it, asks it, and hears from it. */

import { type ChildProcess, spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import type { Socket } from 'node:net'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import pTimeout from 'p-timeout'
import { SubprocessError } from '../errors.js'
import { markOf } from '../mark.js'
import type { ScopeProcess } from '../platform/linux.js'
import { currentRights, type Rights } from '../platform/rights.js'
import {
  type Containment,
  connectionHeader,
  Decoder,
  encode,
  type KeeperMessage,
  type KeeperReport,
  type LaunchFailure,
  type LaunchRequest,
  type ProcessName,
  type WorkerMessage
} from './protocol.js'

const entry = fileURLToPath(new URL('./main.js', import.meta.url))
// A keeper is ready in a tenth of a second. On a machine that swaps it may be a hundred times slower.
const readyWithinMs = 30_000
// How many launches may be opening their connections at once. A socket's backlog is 128 on the oldest kernels
// (net.core.somaxconn before Linux 5.4), and a connection above it fails with EAGAIN.
const mostOpening = 40

// A keeper is idle most of the time: it can do without threads for its garbage, and collects once at its start.
const keeperFlags = ['--v8-pool-size=0', '--expose-gc']

/** What the link tells one subprocess. */
export interface LaunchListener {
  /** Opens the connections of the piped streams, each with its header as its first bytes. */
  connect(path: string, headerOf: (connection: number) => string): void
  spawned(pid: number): void
  failed(failure: LaunchFailure): void
  exited(code: number | null, signal: NodeJS.Signals | null): void
}

interface WaitingLaunch {
  readonly id: number
  readonly scope: number
  readonly request: LaunchRequest
  readonly listener: LaunchListener
}

export class KeeperLink {
  readonly pid: number
  /** The rights that the keeper has: those of the worker when it was started. */
  readonly rights: Rights
  readonly containment: Containment
  /** Why containment is below `subreaper`. */
  readonly why: string | undefined
  /** Resolves when the keeper process has ended, as asked or not. */
  readonly ended: Promise<void>
  readonly #child: ChildProcess
  readonly #socket: Socket
  readonly #path: string
  readonly #secret: string
  readonly #workerMark: string
  readonly #listeners = new Map<number, LaunchListener>()
  readonly #closing = new Map<number, (report: KeeperReport | undefined) => void>()
  readonly #lists = new Map<number, (processes: readonly ScopeProcess[]) => void>()
  /** Launches whose connections are being opened: until the keeper has answered. */
  readonly #opening = new Set<number>()
  #waiting: WaitingLaunch[] = []
  #references = 0
  #lastLaunch = 0
  #lastConnection = 0
  #lastScope = 0
  #state: 'open' | 'ending' | 'lost' = 'open'
  readonly #onLost = new Set<() => void>()

  /** Starts a keeper and resolves when it is ready. Rejects with `ERR_SUBPROCESS_KEEPER_START`. */
  static async start(): Promise<KeeperLink> {
    if (process.platform !== 'linux') {
      const detail = `it finds processes in /proc, which ${process.platform} has not; run the server on Linux`
      throw new SubprocessError('ERR_SUBPROCESS_KEEPER_START', detail)
    }
    const rights = currentRights()
    const child = spawnKeeper()
    // Node opens no streams at all when it runs out of descriptors; 'error' follows.
    const socket = child.stdio?.[3] as Socket | undefined
    // A keeper that was killed with messages unread resets the connection. 'close' follows.
    socket?.on('error', () => {})
    const decoder = new Decoder<KeeperMessage>()
    const ended = new Promise<void>((resolve) => {
      child.once('exit', () => resolve())
      child.once('error', () => resolve())
    })
    const ready = new Promise<KeeperLink>((resolve, reject) => {
      let link: KeeperLink | undefined
      socket?.on('data', (bytes: Buffer) => {
        for (const message of decoder.decode(bytes)) {
          if (link !== undefined) link.#receive(message)
          else if (message.type === 'ready') {
            link = new KeeperLink(child, socket as Socket, ended, rights, message)
            resolve(link)
          }
        }
      })
      child.once('error', (error) =>
        reject(new SubprocessError('ERR_SUBPROCESS_KEEPER_START', error.message, error))
      )
      child.once('exit', (code, signal) => {
        const detail = `it ended with ${signal ?? `status ${code}`}; its standard error says why`
        reject(new SubprocessError('ERR_SUBPROCESS_KEEPER_START', detail))
      })
    })
    try {
      return await pTimeout(ready, {
        milliseconds: readyWithinMs,
        message: new SubprocessError(
          'ERR_SUBPROCESS_KEEPER_START',
          `it was not ready after ${readyWithinMs} ms`
        )
      })
    } catch (error) {
      // Its socket's end is its own end.
      socket?.destroy()
      throw error
    }
  }

  private constructor(
    child: ChildProcess,
    socket: Socket,
    ended: Promise<void>,
    rights: Rights,
    ready: KeeperMessage & { type: 'ready' }
  ) {
    this.pid = child.pid as number
    this.rights = rights
    this.containment = ready.containment
    this.why = ready.why
    this.ended = ended
    this.#path = ready.path
    this.#secret = ready.secret
    this.#workerMark = ready.workerMark
    this.#child = child
    this.#socket = socket
    // A keeper is no reason for its worker to stay.
    child.unref()
    socket.unref()
    socket.once('close', () => this.#lose())
  }

  /** Whether the keeper still takes orders. */
  get isOpen(): boolean {
    return this.#state === 'open'
  }

  /** Calls back when the keeper is lost. Returns how to take that back. */
  onLost(callback: () => void): () => void {
    this.#onLost.add(callback)
    return () => this.#onLost.delete(callback)
  }

  /** Announces a scope and returns its number. */
  openScope(graceMs: number, killSignal: NodeJS.Signals): number {
    const scope = ++this.#lastScope
    this.#send({ type: 'open', scope, graceMs, killSignal })
    return scope
  }

  /**
   * Ends all that the scope runs. Resolves when it is proven gone or named as a survivor; with undefined when
   * the keeper was lost before it could say so.
   */
  closeScope(scope: number): Promise<KeeperReport | undefined> {
    this.#cancelWaiting(scope)
    if (this.#state === 'lost') return Promise.resolve(undefined)
    this.ref()
    return new Promise<KeeperReport | undefined>((resolve) => {
      this.#closing.set(scope, resolve)
      this.#send({ type: 'close', scope })
    }).finally(() => this.unref())
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

  /** Has a folder removed when every process of the scope is gone. */
  addFolder(scope: number, path: string): void {
    this.#send({ type: 'folder', scope, path })
  }

  /** The processes of the scope that are alive. */
  list(scope: number): Promise<readonly ScopeProcess[]> {
    if (this.#state === 'lost') return Promise.resolve([])
    return new Promise((resolve) => {
      const id = ++this.#lastLaunch
      this.#lists.set(id, resolve)
      this.#send({ type: 'list', id, scope })
    })
  }

  /** The mark that the processes of the scope carry. */
  markOf(scope: number): string {
    return markOf(this.#workerMark, scope)
  }

  nextConnection(): number {
    return ++this.#lastConnection
  }

  /** Asks for a subprocess; its listener hears the rest. Returns the number to name it by. */
  launch(scope: number, request: LaunchRequest, listener: LaunchListener): number {
    const id = ++this.#lastLaunch
    this.#listeners.set(id, listener)
    this.#waiting.push({ id, scope, request, listener })
    this.#openWaiting()
    return id
  }

  /** A connection of a launch failed. The keeper knows whether that came too late to matter. */
  stdioLost(id: number, code: string): void {
    this.#send({ type: 'stdio-lost', id, code })
  }

  signal(id: number, signal: NodeJS.Signals): void {
    this.#send({ type: 'signal', id, signal })
  }

  /** Keeps the worker's event loop alive until `unref` is called as often. */
  ref(): void {
    if (this.#references++ === 0) this.#socket.ref()
  }

  unref(): void {
    if (--this.#references === 0) this.#socket.unref()
  }

  /** Ends the keeper, and with it all that it still runs. Resolves when it is gone. */
  async end(): Promise<void> {
    if (this.#state === 'open') this.#state = 'ending'
    this.#child.ref()
    this.#socket.end()
    await this.ended
  }

  #send(message: WorkerMessage): void {
    if (this.#socket.writable) this.#socket.write(encode(message))
  }

  #openWaiting(): void {
    while (this.#waiting.length > 0 && this.#opening.size < mostOpening) {
      const { id, scope, request, listener } = this.#waiting.shift() as WaitingLaunch
      this.#opening.add(id)
      this.#send({ type: 'launch', id, scope, request })
      listener.connect(this.#path, (connection) => connectionHeader(this.#secret, connection))
    }
  }

  #cancelWaiting(scope: number): void {
    const cancelled = this.#waiting.filter((launch) => launch.scope === scope)
    this.#waiting = this.#waiting.filter((launch) => launch.scope !== scope)
    for (const { id, request, listener } of cancelled) {
      this.#listeners.delete(id)
      listener.failed({ code: 'ECANCELED', message: `spawn ${request.file} ECANCELED` })
    }
  }

  #receive(message: KeeperMessage): void {
    switch (message.type) {
      case 'ready':
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
    const wasAsked = this.#state === 'ending'
    this.#state = 'lost'
    // Nobody but a killed keeper leaves its folder.
    if (!wasAsked) rmSync(dirname(this.#path), { recursive: true, force: true })
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
    for (const resolve of this.#closing.values()) resolve(undefined)
    this.#closing.clear()
  }
}

function spawnKeeper(): ChildProcess {
  return spawn(process.execPath, [...keeperFlags, entry], {
    // The worker's own streams, for subprocesses that inherit them, and the link.
    stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
    // A session of its own: a terminal's signals and a group kill of the worker do not reach it.
    detached: true,
    // It holds no folder of the worker's; commands get the worker's current one.
    cwd: '/',
    env: keeperEnvironment()
  })
}

/** The worker's environment without what configures Node: a preload or a heap limit is meant for the worker. */
function keeperEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(([name]) => !name.startsWith('NODE_'))
  return Object.fromEntries(entries)
}

/** A share in the worker's keeper; the last one to be given back ends it. */
export interface KeeperShare {
  readonly link: KeeperLink
  release(): Promise<void>
}

let shared: { readonly link: Promise<KeeperLink>; users: number } | undefined

/** The keeper of this worker, started when it is first asked for: there is one, however many guards use it. */
export async function shareKeeper(): Promise<KeeperShare> {
  shared ??= { link: KeeperLink.start(), users: 0 }
  const share = shared
  const withdraw = (): void => {
    if (shared === share) shared = undefined
  }
  share.users++
  try {
    const link = await share.link
    link.onLost(withdraw)
    return {
      link,
      async release() {
        if (--share.users > 0) return
        withdraw()
        await link.end()
      }
    }
  } catch (error) {
    withdraw()
    throw error
  }
}
