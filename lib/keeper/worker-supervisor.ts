/** The keeper's eye on the worker itself: its signs of life, its end when it hangs, and the hooks that tell of it. */

import pTimeout from 'p-timeout'
import { isOutOfDescriptors, type Libc, signalByNumber } from '../platform/current.js'
import { sweep } from '../sweep/sweep.js'
import type { KeeperMessage, KeeperReport, WorkerMessage, WorkerSettings } from '../wire/messages.js'
import type { StackSample } from '../wire/stack-sample.js'
import type { WorkerInfo } from '../wire/worker-info.js'
import { collectGarbage } from './free-memory.js'
import { type HookFailure, HookModules } from './hook-modules.js'
import { Watchdog } from './hung-worker-watchdog.js'
import type { Keeper } from './keeper.js'
import { StackSampler } from './stack-sampler.js'
import type { WorkerRights } from './worker-rights.js'

// With its subprocesses gone, a worker that is to be aborted can wait as long as this for its place to be told.
const lateAnswerMs = 2_000

export interface OversightParts {
  /** The file of this keeper. */
  readonly entry: string
  readonly mandate: WorkerRights
  /** Process id of the worker. */
  readonly worker: number
  readonly keeper: Keeper
  readonly libc: Libc | undefined
  readonly isWorkerGone: () => boolean
  /** Resolves when the worker is gone. */
  readonly gone: Promise<void>
  readonly send: (message: KeeperMessage) => void
  /** Says that the worker hung, with what was ended. */
  readonly sayHung: (info: WorkerInfo, report: KeeperReport) => Promise<void>
  readonly sayHookFailed: (failure: HookFailure) => void
}

export class WorkerSupervisor {
  readonly watchLine = new StackSampler()
  readonly #parts: OversightParts
  readonly #hooks: HookModules
  #settings: WorkerSettings = { graceMs: 2_000, killSignal: 'SIGTERM' }
  #hasSwept = false
  #watchdog: Watchdog | undefined
  /** The last answer of the thread that watches. */
  #asked: Promise<StackSample> = Promise.resolve({ type: 'unknown', why: 'nobody was asked' })
  /** What was known of the worker when it was found hung. */
  #hung: WorkerInfo | undefined

  constructor(parts: OversightParts) {
    this.#parts = parts
    this.#hooks = new HookModules(parts.entry)
  }

  /** Whatever the worker says is a sign of life. */
  heard(message: WorkerMessage): void {
    this.#watchdog?.alive()
    switch (message.type) {
      case 'rights':
        if (!this.#parts.mandate.begin(message.rights)) this.#sayHidden()
        break
      case 'retire':
        this.#parts.mandate.end()
        break
      case 'settings':
        this.#follow(message.settings)
        break
      case 'add-hooks':
        this.#addHooks(message)
        break
      case 'remove-hooks':
        this.#hooks.remove(message.url)
        break
      case 'ping':
        this.#parts.send({ type: 'pong' })
        break
      case 'dismiss':
        this.stop()
        break
      default:
      // An order, for the keeper to carry out.
    }
  }

  /** What the hook for the worker's end will be told; undefined where there is none. It must be asked for before the end of all. */
  get infoOfExit(): WorkerInfo | undefined {
    if (!this.#hooks.has('workerExit')) return undefined
    return this.#hung ?? this.#infoOf({ why: 'gone' })
  }

  /** Tells the hooks that the worker is gone. */
  async tellExit(info: WorkerInfo): Promise<void> {
    await this.#run('workerExit', info)
  }

  /** Another keeper has the eye on the worker from now on. */
  retire(): void {
    this.stop()
    this.#hooks.clear()
  }

  stop(): void {
    this.#watchdog?.stop()
    this.watchLine.close()
  }

  #follow(settings: WorkerSettings): void {
    const { workerTimeoutMs } = settings
    const isOther = workerTimeoutMs !== this.#settings.workerTimeoutMs
    this.#settings = settings
    if (!this.#hasSwept) void this.#sweep()
    if (!isOther) return
    this.#watchdog?.stop()
    this.#watchdog =
      workerTimeoutMs === undefined
        ? undefined
        : new Watchdog({
            worker: this.#parts.worker,
            timeoutMs: workerTimeoutMs,
            askWhere: (withinMs) => {
              this.#asked = this.watchLine.ask(withinMs)
              return this.#asked
            },
            onHung: (silentMs, where) => void this.#abort(silentMs, where)
          })
  }

  /** Ends what dead workers have left, once. */
  async #sweep(): Promise<void> {
    this.#hasSwept = true
    const { libc, keeper, send } = this.#parts
    const about = 'what dead workers had left'
    try {
      const say = (message: string): void => send({ type: 'log', level: 'warn', fields: {}, message })
      const processes = await sweep(libc, this.#settings.graceMs, keeper.adopter, say)
      if (processes.length === 0) return
      const survived = processes.filter(({ ended }) => ended === 'survived').length
      const message = `${about}: ended ${processes.length - survived} processes, ${survived} survived`
      send({ type: 'log', level: survived === 0 ? 'warn' : 'error', fields: { processes }, message })
    } catch (error) {
      const message = `${about} could not be looked for: ${(error as Error).message}`
      send({ type: 'log', level: 'error', fields: {}, message })
    } finally {
      // It has read the environments of all processes of this user.
      collectGarbage(libc)
    }
  }

  #sayHidden(): void {
    const message =
      'the rights of the worker are hidden from its keeper, which will not notice when they change'
    this.#parts.send({ type: 'log', level: 'warn', fields: {}, message })
  }

  #addHooks({ id, url }: WorkerMessage & { type: 'add-hooks' }): void {
    const { send, mandate } = this.#parts
    this.#hooks.add(url).then(
      () => {
        mandate.watch()
        send({ type: 'hooks-added', id })
      },
      (error: Error) => send({ type: 'hooks-added', id, why: error.message })
    )
  }

  /** Ends a hung worker: its subprocesses, then it is told of, then SIGABRT, and SIGKILL where that does nothing. */
  async #abort(silentMs: number, where: StackSample): Promise<void> {
    const { keeper, gone, sayHung } = this.#parts
    const found = this.#infoOf({ why: 'hung', silentMs: Math.round(silentMs) })
    const report = await keeper.endAll('worker-hung')
    const info = { ...found, ...whereIn(where.type === 'unknown' ? await this.#lateAnswer(where) : where) }
    this.#hung = info
    await sayHung(info, report)
    await this.#run('workerAbort', info)
    this.#signal('SIGABRT')
    await Promise.race([gone, new Promise((resolve) => setTimeout(resolve, this.#settings.graceMs))])
    this.#signal('SIGKILL')
  }

  /** On a busy machine the thread may not have been quick enough. */
  async #lateAnswer(where: StackSample): Promise<StackSample> {
    return pTimeout(this.#asked, { milliseconds: lateAnswerMs, fallback: () => where })
  }

  async #run(name: 'workerAbort' | 'workerExit', info: WorkerInfo): Promise<void> {
    const { mandate, sayHookFailed } = this.#parts
    const refused = this.#hooks.refused(name, 'the worker has given up rights that it would be run with')
    const failures = mandate.coversHooks ? await this.#hooks.run(name, info) : refused
    for (const failure of failures) sayHookFailed(failure)
  }

  #signal(signal: NodeJS.Signals): void {
    const { worker, libc, isWorkerGone } = this.#parts
    const isStill = (): boolean => !isWorkerGone()
    if (libc === undefined) signalByNumber(worker, signal, isStill)
    else libc.signalConfirmed(worker, signal, isStill)
  }

  #infoOf(what: Pick<WorkerInfo, 'why' | 'silentMs' | 'stack' | 'whyNoStack' | 'route'>): WorkerInfo {
    const { worker, keeper } = this.#parts
    try {
      const scopes = keeper.status().scopes.map(({ scope: _, state: __, ...scope }) => scope)
      return { worker, ...what, scopes, unscoped: keeper.unscoped() }
    } catch (error) {
      if (!isOutOfDescriptors(error)) throw error
      // A worker that hangs is ended, whatever there is to tell of it.
      return { worker, ...what, scopes: [], unscoped: [] }
    }
  }
}

function whereIn(where: StackSample): Pick<WorkerInfo, 'stack' | 'whyNoStack' | 'route'> {
  if (where.type === 'unknown') return { whyNoStack: where.why }
  if (where.type === 'paused') return { whyNoStack: 'a debugger holds it' }
  const { stack, route } = where
  return route === undefined ? { stack } : { stack, route }
}
