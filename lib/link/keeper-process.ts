/** The keeper process: waits until it is ready, and ends it. */

import type { ChildProcess } from 'node:child_process'
import type { Socket } from 'node:net'
import pTimeout from 'p-timeout'
import { SubprocessError } from '../errors.js'
import { type KeeperStart, spawnKeeper, wayOutOf } from './spawn-keeper.js'

// A keeper is ready within 100 ms. On a machine that swaps it may take a hundred times as long.
const readyWithinMs = 30_000
// All scopes are closed by then. The keeper only scans once more for processes of the worker.
const endedWithinMs = 15_000

export class KeeperProcess {
  /**
   * Resolves after `markReady`. Rejects with `ERR_SUBPROCESS_KEEPER_START`, and the process is then killed.
   */
  readonly ready: Promise<void>
  /** Resolves when the process has ended for any reason. */
  readonly ended: Promise<void>
  /** The socket to the keeper. Undefined where Node opened no streams at all, for lack of descriptors. */
  readonly socket: Socket | undefined
  readonly #child: ChildProcess
  #resolveStart!: () => void
  #rejectStart!: (error: SubprocessError) => void

  /** Starts the process. `onSpawnFailed` is called when the operating system could not start it. */
  constructor(start: KeeperStart, onSpawnFailed: () => void) {
    const child = spawnKeeper(start)
    this.#child = child
    this.socket = child.stdio?.[3] as Socket | undefined
    this.ended = new Promise((resolve) => {
      child.once('exit', () => resolve())
      child.once('error', () => resolve())
    })
    // kill() fails with 'error' if the keeper runs with rights that the worker has dropped. This must not
    // crash the server.
    child.on('error', () => {})
    const program = `${process.execPath} ${start.entry}`
    const started = new Promise<void>((resolve, reject) => {
      this.#resolveStart = resolve
      this.#rejectStart = reject
    })
    child.once('error', (error) => {
      this.markFailed(`${error.message}${wayOutOf(error)}`, error)
      onSpawnFailed()
    })
    child.once('exit', (code, signal) => {
      this.markFailed(`${program} ended with ${signal ?? `status ${code}`}; its standard error says why`)
    })
    this.ready = this.#waitForStart(started, program)
  }

  /** The pid; 0 if the process could not be started. */
  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** The keeper has reported that it is ready. */
  markReady(): void {
    this.#resolveStart()
  }

  /** The keeper cannot start. Without effect after `markReady`. */
  markFailed(detail: string, cause?: unknown): void {
    this.#rejectStart(new SubprocessError('ERR_SUBPROCESS_KEEPER_START', detail, cause))
  }

  /** Lets the worker exit while the keeper runs. The socket has its own `unref`. */
  unref(): void {
    this.#child.unref()
  }

  /** Kills a keeper that does not respond. */
  kill(): void {
    // The pid is safe to signal: this child was not reaped yet. If the signal is not permitted, the keeper
    // ends when its socket closes.
    if (!this.#child.kill('SIGKILL')) this.socket?.destroy()
  }

  /**
   * Closes the socket, which ends the keeper, and resolves when the process has ended. Kills the keeper after
   * 15 s.
   */
  async end(): Promise<void> {
    this.#child.ref()
    this.socket?.end()
    await pTimeout(this.ended, { milliseconds: endedWithinMs, fallback: () => this.kill() })
  }

  async #waitForStart(started: Promise<void>, program: string): Promise<void> {
    const message = new SubprocessError(
      'ERR_SUBPROCESS_KEEPER_START',
      `${program} was not ready after ${readyWithinMs} ms`
    )
    try {
      await pTimeout(started, { milliseconds: readyWithinMs, message })
    } catch (error) {
      // The keeper ends when its socket closes, unless it is stuck.
      this.socket?.destroy()
      this.#child.kill('SIGKILL')
      throw error
    }
  }
}
