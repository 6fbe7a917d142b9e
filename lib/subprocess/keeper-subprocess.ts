/** `KeeperSubprocess`: the handle of a command that the keeper starts. */

import { AsyncResource } from 'node:async_hooks'
import type { Readable, Writable } from 'node:stream'
import { SubprocessError } from '../errors.js'
import type { CommandExit, LaunchListener } from '../link/launch-queue.js'
import { platform } from '../platform/current.js'
import { endsProcess } from '../validate-option.js'
import type { LaunchFailure } from '../wire/messages.js'
import { throwInNextTick } from './catch-rethrown-error.js'
import { ChildProcessWithoutHandle, publishCreated } from './child-process-base.js'
import { lostConnectionCode, PipedStdio } from './piped-stdio.js'
import type { Command } from './resolve-command.js'
import { resourceUsageOf, type SubprocessUsage } from './resource-usage.js'
import type { Subprocess } from './subprocess.js'
import type { SubprocessOwner } from './subprocess-owner.js'
import { type TerminationReport, terminationReport } from './termination-report.js'
import { endOnTimeoutOrAbort } from './timeout-and-signal.js'
import { refuseUnsupported, signalName } from './validate-arguments.js'

/**
 * `waiting`: for its place, at no keeper yet. `withdrawn`: ended by a signal before its turn; its last events
 * come in the next tick.
 */
type State = 'waiting' | 'withdrawn' | 'starting' | 'running' | 'over'

/** The place of a command among those that may run at once. */
export interface CommandPlace {
  readonly isWaiting: boolean
  /** Set by the command; called once when the wait is over. */
  onTurn: () => void
  /** Gives the place to the next one. */
  leave(): void
}

/** Has everything that `ChildProcess` declares, except `channel`, `send()` and `disconnect()`. */
export class KeeperSubprocess extends ChildProcessWithoutHandle implements Subprocess {
  /** Known from `'spawn'` on. */
  override pid: number | undefined = undefined
  override stdin: Writable | null
  override stdout: Readable | null
  override stderr: Readable | null
  override readonly stdio: [Writable | null, Readable | null, Readable | null, undefined, undefined]
  override readonly spawnfile: string
  override readonly spawnargs: string[]
  /** The exit status; null while the process runs, or if a signal ended it. */
  override exitCode: number | null = null
  /** The signal that ended it, or null. */
  override signalCode: NodeJS.Signals | null = null
  /** Always false: there is no channel for messages through the keeper. */
  override readonly connected = false
  /** Whether `kill()` has sent a signal. The process may still run. */
  override killed = false

  readonly #command: Command
  readonly #extraVariables: () => Record<string, string> | undefined
  readonly #place: CommandPlace | undefined
  #owner: SubprocessOwner
  /** The keeper's number of the command; 0 while it waits for its place. */
  #id = 0
  readonly #piped: PipedStdio
  // Events come from the keeper's socket, but users expect them in the context that called spawn().
  readonly #context = new AsyncResource('SUBPROCESS')
  #state: State = 'starting'
  #isReferenced = true
  /** Signals that the user has sent before the start. */
  readonly #signals: NodeJS.Signals[] = []
  /** The error of an abort before the start: `'error'` must not come before `'spawn'`. */
  #abortedBy: Error | undefined
  #stopTimeoutAndSignal = (): void => {}
  #termination: Promise<TerminationReport> | undefined
  /** Called when the process has started, or has failed to. */
  #onStartSettled = (): void => {}
  #hasClosed = false
  // NaN and not 0: when a field changes from a small integer to a fraction, V8 moves the object to another layout.
  // For each spawn, that took a twentieth of the worker's processor time.
  #startedAt = Number.NaN
  /** What was read last; from the exit on, what the keeper has counted. */
  #usage: SubprocessUsage | undefined

  /**
   * @internal `extraVariables` is called at each launch. It throws a TypeError for an invalid `privateTmp`.
   * `place`: if it is waiting, so does the launch.
   */
  constructor(
    command: Command,
    owner: SubprocessOwner,
    extraVariables: () => Record<string, string> | undefined = () => undefined,
    place?: CommandPlace
  ) {
    super()
    // Before anything else, because it may throw.
    const variables = extraVariables()
    publishCreated(this)
    this.#command = command
    this.#owner = owner
    this.#extraVariables = extraVariables
    this.#place = place
    this.spawnfile = command.file
    this.spawnargs = [...command.args]
    this.#piped = new PipedStdio(command.stdio, {
      isStarting: () => this.isStarting,
      // Only the keeper knows whether the process had started before.
      onConnectionLost: (code) => {
        if (this.#id !== 0) this.#owner.link.stdioLost(this.#id, lostConnectionCode(code))
      },
      onUnheardError: (error) => this.#owner.logError(error, this),
      heardAll: () => this.#owner.heardAll(),
      onEnding: () => this.#owner.subprocessEnding(),
      onAllClosed: () => this.#closeWhenComplete()
    })
    this.stdin = this.#piped.stdin
    this.stdout = this.#piped.stdout
    this.stderr = this.#piped.stderr
    this.stdio = [this.stdin, this.stdout, this.stderr] as never
    owner.hold.add(this)

    owner.link.ref()
    if (place?.isWaiting) this.#waitFor(place)
    else this.#id = this.#launch(variables)
    this.#stopTimeoutAndSignal = endOnTimeoutOrAbort({
      timeoutMs: command.timeoutMs,
      signal: command.signal,
      end: () => {
        if (this.#state === 'over') return false
        void this.terminate()
        return true
      },
      onAborted: (error) => {
        if (this.#state === 'starting') this.#abortedBy = error
        else this.emit('error', error)
      }
    })
  }

  /**
   * Sends a signal to the process, not to its children. Returns false if the process has ended. A command that
   * waits for its place ends without a start if the signal ends a process by default. Throws a TypeError for
   * an unknown signal, and ENOSYS for one that the system does not have.
   */
  override kill(signal: NodeJS.Signals | number = 'SIGTERM'): boolean {
    const name = signal === 0 ? signal : signalName('signal', signal)
    if (name !== 0) refuseUnsupported(name)
    if (this.#state === 'over') return false
    if (name !== 0) this.#signal(name)
    this.killed = true
    return true
  }

  #signal(name: NodeJS.Signals): void {
    if (this.#state === 'waiting' && endsProcess(name)) this.#withdraw(name)
    else if (this.#state !== 'withdrawn') {
      // One that comes before the launch is sent after it.
      if (this.isStarting) this.#signals.push(name)
      if (this.#state !== 'waiting') this.#owner.link.signal(this.#id, name)
    }
  }

  /** @internal Whether it has neither started nor failed to start. */
  get isStarting(): boolean {
    return this.#state !== 'running' && this.#state !== 'over'
  }

  /** @internal If it waits for its place, it fails like a launch that is cancelled. */
  cancelIfWaiting(): void {
    if (this.#state !== 'waiting') return
    const message = `spawn ${this.spawnfile} ECANCELED`
    this.#inContext(() => this.#onFailed({ code: 'ECANCELED', message }))
  }

  /** Keeps the worker alive while the process runs. This is the default. */
  override ref(): void {
    if (this.#isReferenced || this.#state === 'over') return
    this.#isReferenced = true
    this.#owner.link.ref()
  }

  /** Lets the worker exit while the process runs. The process then ends with the worker. */
  override unref(): void {
    if (!this.#isReferenced) return
    this.#isReferenced = false
    if (this.#state !== 'over') this.#owner.link.unref()
  }

  resourceUsage(): SubprocessUsage | undefined {
    if (this.#state !== 'running' || this.pid === undefined) return this.#usage
    // Undefined between the end of the process and its 'exit'.
    const usage = platform.usageOf(this.pid)
    if (usage !== undefined) this.#usage = resourceUsageOf(usage, performance.now() - this.#startedAt)
    return this.#usage
  }

  terminate(): Promise<TerminationReport> {
    this.#termination ??= this.#terminate().finally(() => {
      this.#termination = undefined
    })
    return this.#termination
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.terminate()
  }

  async #terminate(): Promise<TerminationReport> {
    if (this.#state !== 'over') this.killed = true
    if (this.#state === 'waiting') this.#withdraw(this.#command.killSignal)
    if (this.isStarting) {
      await new Promise<void>((resolve) => {
        this.#onStartSettled = resolve
      })
    }
    if (this.pid === undefined) return terminationReport([])
    return this.#owner.terminate(this, this.#id, this.#command.killSignal)
  }

  /** Like every emitter's, except that an `'error'` without a listener is logged and not thrown. */
  override emit(event: string | symbol, ...args: unknown[]): boolean {
    if (event !== 'error' || this.listenerCount('error') > 0) return super.emit(event, ...args)
    this.#owner.logError(args[0] as Error, this)
    return false
  }

  #waitFor(place: CommandPlace): void {
    this.#state = 'waiting'
    place.onTurn = () => {
      this.#state = 'starting'
      this.#inContext(() => this.#launchByCurrentOwner(() => {}))
    }
  }

  /** Ends the command before its turn, as if the signal had ended its process. */
  #withdraw(signal: NodeJS.Signals): void {
    this.#state = 'withdrawn'
    this.#place?.leave()
    // As in Node, 'exit' comes after the call.
    process.nextTick(() => this.#inContext(() => this.#onWithdrawn(signal)))
  }

  #onWithdrawn(signal: NodeJS.Signals): void {
    this.signalCode = signal
    this.#piped.startFailed()
    this.#end()
    this.#piped.endOutputs()
    this.emit('exit', null, signal)
    this.#closeWhenComplete()
  }

  /** Orders the launch from the keeper. Returns the keeper's number of the command. */
  #launch(variables: Record<string, string> | undefined): number {
    const { link, keeperScope } = this.#owner
    const targets = this.#piped.targets(this.#command.stdio)
    const listener: LaunchListener = {
      connect: (path, headerOf) => this.#inContext(() => this.#piped.connect(path, headerOf)),
      connectToPipes: (pipeOf, onConnected) =>
        this.#inContext(() => this.#piped.connectToPipes(pipeOf, onConnected)),
      spawned: (pid) => this.#inContext(() => this.#onSpawned(pid)),
      failed: (failure) => this.#inContext(() => this.#onFailed(failure)),
      exited: (exit) => this.#inContext(() => this.#onExited(exit)),
      refused: () => this.#inContext(() => this.#onRefused())
    }
    const order = this.#command.order(targets)
    return link.launch(keeperScope, variables === undefined ? order : { ...order, variables }, listener)
  }

  #inContext(act: () => void): void {
    try {
      this.#context.runInAsyncScope(act)
    } catch (error) {
      // Throw it in the same context: a test runner assigns an uncaught exception to a test by its context.
      this.#context.runInAsyncScope(throwInNextTick, undefined, error)
    }
  }

  #onSpawned(pid: number): void {
    this.pid = pid
    this.#startedAt = performance.now()
    this.#state = 'running'
    this.#onStartSettled()
    this.#piped.started()
    this.emit('spawn')
    if (this.#abortedBy !== undefined) this.emit('error', this.#abortedBy)
  }

  /** The worker's rights have changed: the next keeper has to start the command. */
  #onRefused(): void {
    this.#launchByCurrentOwner(() => {
      if (!this.#piped.resetConnections()) {
        throw new SubprocessError('ERR_SUBPROCESS_KEEPER_LOST', 'its rights have changed')
      }
    })
  }

  /** Launches at the keeper of now, which may be another one than at the call. Fails if that is impossible. */
  #launchByCurrentOwner(prepare: () => void): void {
    try {
      const { link } = this.#owner
      this.#owner = this.#owner.ownerForLaunch(this)
      if (this.#isReferenced) {
        this.#owner.link.ref()
        link.unref()
      }
      prepare()
      this.#id = this.#launch(this.#extraVariables())
      for (const signal of this.#signals) this.#owner.link.signal(this.#id, signal)
    } catch (error) {
      this.#fail(error as Error)
    }
  }

  #onFailed(failure: LaunchFailure): void {
    this.#fail(this.#owner.errorOf(failure, this.#command), failure.errno)
  }

  #fail(error: Error, errno?: number): void {
    const isHeard = this.listenerCount('error') > 0
    this.exitCode = errno ?? null
    this.#piped.startFailed()
    this.#end()
    // If no listener of 'error' gets the failure, the outputs must: a reader would take it for empty output.
    this.#piped.endOutputs(isHeard ? undefined : error)
    this.emit('error', error)
    this.#closeWhenComplete()
  }

  #onExited({ code, signal, usage }: CommandExit): void {
    this.#owner.subprocessEnding()
    this.#usage = usage && resourceUsageOf(usage, performance.now() - this.#startedAt)
    this.exitCode = code
    this.signalCode = signal
    this.#end()
    this.emit('exit', code, signal)
    this.#piped.endOutputsWhenRead()
    this.#closeWhenComplete()
  }

  #end(): void {
    this.#state = 'over'
    this.#stopTimeoutAndSignal()
    this.#onStartSettled()
    this.#piped.stdin?.destroy()
    if (this.#isReferenced) this.#owner.link.unref()
    this.#owner.subprocessEnded(this)
  }

  /** Emits `'close'` when the process has ended and all streams are closed. */
  #closeWhenComplete(): void {
    if (this.#state !== 'over' || !this.#piped.areAllClosed || this.#hasClosed) return
    this.#hasClosed = true
    this.#owner.hold.delete(this)
    this.emit('close', this.exitCode, this.signalCode)
    this.#context.emitDestroy()
  }
}
