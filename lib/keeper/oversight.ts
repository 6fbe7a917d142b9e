/** The keeper's eye on the worker itself: its signs of life, its end when it hangs, and the hooks that tell of it. */

import type { Libc } from '../platform/libc.js'
import { signalByNumber } from '../platform/libc.js'
import type { WorkerInfo } from '../worker-info.js'
import { type HookFailure, Hooks } from './hooks.js'
import type { Keeper } from './keeper.js'
import type { KeeperMessage, KeeperReport, WorkerMessage, WorkerSettings } from './protocol.js'
import { WatchLine } from './watch-line.js'
import { Watchdog } from './watchdog.js'
import type { Where } from './where.js'

export interface OversightParts {
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

export class Oversight {
  readonly watchLine = new WatchLine()
  readonly #parts: OversightParts
  readonly #hooks = new Hooks()
  #settings: WorkerSettings = { graceMs: 2_000, killSignal: 'SIGTERM' }
  #watchdog: Watchdog | undefined
  /** What was known of the worker when it was found hung. */
  #hung: WorkerInfo | undefined

  constructor(parts: OversightParts) {
    this.#parts = parts
  }

  /** Whatever the worker says is a sign of life. */
  heard(message: WorkerMessage): void {
    this.#watchdog?.alive()
    switch (message.type) {
      case 'settings':
        this.#follow(message.settings)
        break
      case 'add-hooks':
        this.#addHooks(message)
        break
      case 'remove-hooks':
        this.#hooks.remove(message.url)
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

  stop(): void {
    this.#watchdog?.stop()
    this.watchLine.close()
  }

  #follow(settings: WorkerSettings): void {
    const { workerTimeoutMs } = settings
    const isOther = workerTimeoutMs !== this.#settings.workerTimeoutMs
    this.#settings = settings
    if (!isOther) return
    this.#watchdog?.stop()
    this.#watchdog =
      workerTimeoutMs === undefined
        ? undefined
        : new Watchdog({
            worker: this.#parts.worker,
            timeoutMs: workerTimeoutMs,
            askWhere: (withinMs) => this.watchLine.ask(withinMs),
            onHung: (silentMs, where) => void this.#abort(silentMs, where)
          })
  }

  #addHooks({ id, url }: WorkerMessage & { type: 'add-hooks' }): void {
    const { send } = this.#parts
    this.#hooks.add(url).then(
      () => send({ type: 'hooks-added', id }),
      (error: Error) => send({ type: 'hooks-added', id, why: error.message })
    )
  }

  /** Ends a hung worker: its subprocesses, then it is told of, then SIGABRT, and SIGKILL where that does nothing. */
  async #abort(silentMs: number, where: Where): Promise<void> {
    const { keeper, gone, sayHung } = this.#parts
    const stack =
      where.type === 'stack'
        ? { stack: where.stack, ...(where.route === undefined ? {} : { route: where.route }) }
        : { whyNoStack: where.type === 'unknown' ? where.why : 'a debugger holds it' }
    const info = this.#infoOf({ why: 'hung', silentMs: Math.round(silentMs), ...stack })
    this.#hung = info
    const report = await keeper.endAll('worker-hung')
    await sayHung(info, report)
    await this.#run('workerAbort', info)
    this.#signal('SIGABRT')
    await Promise.race([gone, new Promise((resolve) => setTimeout(resolve, this.#settings.graceMs))])
    this.#signal('SIGKILL')
  }

  async #run(name: 'workerAbort' | 'workerExit', info: WorkerInfo): Promise<void> {
    for (const failure of await this.#hooks.run(name, info)) this.#parts.sayHookFailed(failure)
  }

  #signal(signal: NodeJS.Signals): void {
    const { worker, libc, isWorkerGone } = this.#parts
    const isStill = (): boolean => !isWorkerGone()
    if (libc === undefined) signalByNumber(worker, signal, isStill)
    else libc.signalConfirmed(worker, signal, isStill)
  }

  #infoOf(what: Pick<WorkerInfo, 'why' | 'silentMs' | 'stack' | 'whyNoStack' | 'route'>): WorkerInfo {
    const { worker, keeper } = this.#parts
    const scopes = keeper.status().scopes.map(({ scope: _, state: __, ...scope }) => scope)
    return { worker, ...what, scopes, unscoped: keeper.unscoped() }
  }
}
