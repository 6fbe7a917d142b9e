/** Supervises the worker itself: its heartbeats, its abort when it hangs, and the hooks that run then. */

import pTimeout from 'p-timeout'
import { type Containers, type NativeCalls, platform } from '../platform/current.js'
import type { KeeperMessage, KeeperReport, WorkerMessage, WorkerSettings } from '../wire/messages.js'
import type { StackSample } from '../wire/stack-sample.js'
import type { WorkerInfo } from '../wire/worker-info.js'
import { describeWorker, stackInfo } from './describe-worker.js'
import { type HookFailure, HookModules } from './hook-modules.js'
import { Watchdog } from './hung-worker-watchdog.js'
import type { Keeper } from './keeper.js'
import { StackSampleClient } from './stack-sample-client.js'
import { sweepAtStart } from './sweep-at-start.js'
import type { WorkerRights } from './worker-rights.js'

// When its subprocesses are gone, the abort of a hung worker can wait this much longer for a stack sample.
const lateSampleMs = 2_000

export interface WorkerSupervisorParts {
  /** The path of the keeper's file. */
  readonly entry: string
  readonly rights: WorkerRights
  /** Pid of the worker. */
  readonly worker: number
  readonly keeper: Keeper
  readonly native: NativeCalls | undefined
  /** Undefined on a system without them. */
  readonly containers: Containers | undefined
  readonly isWorkerGone: () => boolean
  /** Resolves when the worker is gone. */
  readonly workerGone: Promise<void>
  readonly send: (message: KeeperMessage) => void
  /** Logs that the worker hung, and what was ended. */
  readonly logHungWorker: (info: WorkerInfo, report: KeeperReport) => Promise<void>
  readonly logHookFailure: (failure: HookFailure) => void
}

export class WorkerSupervisor {
  readonly stackSampler = new StackSampleClient()
  readonly #parts: WorkerSupervisorParts
  readonly #hooks: HookModules
  #settings: WorkerSettings = { graceMs: 2_000, killSignal: 'SIGTERM' }
  #hasSwept = false
  #watchdog: Watchdog | undefined
  /** The last stack sample that was requested. */
  #lastSample: Promise<StackSample> = Promise.resolve({
    type: 'unknown',
    why: 'no stack sample was requested'
  })
  /** What was known of the worker when it was found hung. */
  #hungInfo: WorkerInfo | undefined

  constructor(parts: WorkerSupervisorParts) {
    this.#parts = parts
    this.#hooks = new HookModules(parts.entry, undefined, parts.containers)
  }

  /** Any message of the worker counts as a heartbeat. */
  receive(message: WorkerMessage): void {
    this.#watchdog?.reset()
    switch (message.type) {
      case 'rights':
        if (!this.#parts.rights.setInitial(message.rights)) this.#warnOfHiddenRights()
        break
      case 'retire':
        this.#parts.rights.revoke()
        break
      case 'settings':
        this.#applySettings(message.settings)
        break
      case 'add-hooks':
        this.#addHooks(message)
        break
      case 'remove-hooks':
        this.#hooks.remove(message.url)
        break
      case 'ping':
        this.#parts.send({ type: 'pong', id: message.id })
        break
      case 'dismiss':
        this.stop()
        break
      default:
      // An order for the keeper: see keeper.ts.
    }
  }

  /**
   * What the hook `workerExit` will be given; undefined without such a hook. Must be read before everything
   * is ended: it describes what ran.
   */
  get exitInfo(): WorkerInfo | undefined {
    if (!this.#hooks.has('workerExit')) return undefined
    return this.#hungInfo ?? this.#describe({ why: 'gone' })
  }

  /** Runs the hook `workerExit` of every module. */
  async runExitHooks(info: WorkerInfo): Promise<void> {
    await this.#runHooks('workerExit', info)
  }

  /** Another keeper supervises the worker from now on. */
  retire(): void {
    this.stop()
    this.#hooks.clear()
  }

  stop(): void {
    this.#watchdog?.stop()
    this.stackSampler.close()
  }

  #applySettings(settings: WorkerSettings): void {
    const { workerTimeoutMs } = settings
    const hasNewTimeout = workerTimeoutMs !== this.#settings.workerTimeoutMs
    this.#settings = settings
    if (!this.#hasSwept) {
      this.#hasSwept = true
      const { native, keeper, send } = this.#parts
      void sweepAtStart(native, settings.graceMs, keeper.adopter, send)
    }
    if (!hasNewTimeout) return
    this.#watchdog?.stop()
    this.#watchdog =
      workerTimeoutMs === undefined
        ? undefined
        : new Watchdog({
            worker: this.#parts.worker,
            timeoutMs: workerTimeoutMs,
            sampleStack: (withinMs) => {
              this.#lastSample = this.stackSampler.sample(withinMs)
              return this.#lastSample
            },
            onHung: (silentMs, sample) => void this.#abortWorker(silentMs, sample)
          })
  }

  #warnOfHiddenRights(): void {
    const message = 'the keeper cannot read the rights of the worker, and will not notice when they change'
    this.#parts.send({ type: 'log', level: 'warn', fields: {}, message })
  }

  #addHooks({ id, url }: WorkerMessage & { type: 'add-hooks' }): void {
    const { send, rights } = this.#parts
    this.#hooks.add(url).then(
      () => {
        rights.checkRegularly()
        send({ type: 'hooks-added', id })
      },
      (error: Error) => send({ type: 'hooks-added', id, why: error.message })
    )
  }

  /**
   * Ends a hung worker: ends its subprocesses, logs it, runs the hook `workerAbort`, sends SIGABRT (if the
   * system has it), and SIGKILL if the worker is alive after the grace period.
   */
  async #abortWorker(silentMs: number, sample: StackSample): Promise<void> {
    const { keeper, workerGone, logHungWorker } = this.#parts
    const described = this.#describe({ why: 'hung', silentMs: Math.round(silentMs) })
    const report = await keeper.endAll('worker-hung')
    const latest = sample.type === 'unknown' ? await this.#lateSample(sample) : sample
    const info = { ...described, ...stackInfo(latest) }
    this.#hungInfo = info
    await logHungWorker(info, report)
    await this.#runHooks('workerAbort', info)
    // Where there is no such signal, there is nothing to wait for.
    if (platform.supportsSignal('SIGABRT')) {
      this.#signal('SIGABRT')
      await Promise.race([workerGone, new Promise((resolve) => setTimeout(resolve, this.#settings.graceMs))])
    }
    this.#signal('SIGKILL')
  }

  /** On a busy machine the watch thread may have been too slow. */
  async #lateSample(fallback: StackSample): Promise<StackSample> {
    return pTimeout(this.#lastSample, { milliseconds: lateSampleMs, fallback: () => fallback })
  }

  async #runHooks(name: 'workerAbort' | 'workerExit', info: WorkerInfo): Promise<void> {
    const { rights, logHookFailure } = this.#parts
    const refused = this.#hooks.failAll(
      name,
      'not run: the worker has given up the rights that it would run with'
    )
    const failures = rights.allowsHooks ? await this.#hooks.run(name, info) : refused
    for (const failure of failures) logHookFailure(failure)
  }

  #signal(signal: NodeJS.Signals): void {
    const { worker, native, isWorkerGone } = this.#parts
    const isStill = (): boolean => !isWorkerGone()
    if (native === undefined) platform.signalByPid(worker, signal, isStill)
    else native.signalConfirmed(worker, signal, isStill)
  }

  #describe(reason: Pick<WorkerInfo, 'why' | 'silentMs'>): WorkerInfo {
    return describeWorker(this.#parts.worker, this.#parts.keeper, reason)
  }
}
