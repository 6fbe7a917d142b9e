/** Starts the thread that watches the main thread, and connects it to the keeper. */

import { isMainThread, Worker } from 'node:worker_threads'
import type { WatchTarget } from './watch-thread-main.js'

// Far more than the thread needs: a deep recursion is reported frame by frame. Beyond the limits only the
// thread ends.
const resourceLimits = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 2 }

/**
 * A thread that costs nothing but its memory until the keeper asks for a stack sample. It does not keep the
 * process alive, and no failure of the thread ends the process.
 */
export class WatchThread {
  readonly #onFailed: (why: string) => void
  #thread: Worker | undefined
  #failed: string | undefined

  /**
   * Starts the thread with the keeper's file. `onFailed` is called with the reason if the thread cannot be
   * started or ends unexpectedly: once, and never before this function has returned.
   */
  static start(entry: string, onFailed: (why: string) => void): WatchThread {
    return new WatchThread(onFailed, entry)
  }

  private constructor(onFailed: (why: string) => void, entry: string) {
    this.#onFailed = onFailed
    const whyNot = whyNoThread()
    if (whyNot !== undefined) this.#fail(whyNot)
    else this.#start(entry)
  }

  /** Why the main thread is not watched; undefined while it is. */
  get failed(): string | undefined {
    return this.#failed
  }

  /**
   * Connects the thread to a keeper instead of the one before. The header is the first thing that it sends.
   */
  connect(path: string, header: string): void {
    this.#thread?.postMessage({ path, header } satisfies WatchTarget)
  }

  /** Ends the thread. */
  stop(): void {
    const thread = this.#thread
    this.#thread = undefined
    void thread?.terminate()
  }

  #start(entry: string): void {
    try {
      const thread = new Worker(entry, {
        name: 'subprocess-guard',
        // Preloads and heap limits of the worker are not meant for this thread.
        execArgv: [],
        env: {},
        resourceLimits
      })
      this.#thread = thread
      thread.unref()
      thread.on('error', (error) => this.#lose(`the thread failed: ${error.message}`))
      thread.once('exit', (status) => this.#lose(`the thread ended with status ${status}`))
    } catch (error) {
      this.#fail(`no thread could be started: ${(error as Error).message}`)
    }
  }

  #lose(why: string): void {
    // The thread was stopped, or its failure was reported already.
    if (this.#thread === undefined) return
    this.#thread = undefined
    this.#fail(why)
  }

  #fail(why: string): void {
    this.#failed = why
    queueMicrotask(() => this.#onFailed(why))
  }
}

/** Why the thread cannot be used; undefined if it can. */
function whyNoThread(): string | undefined {
  // Only defined under the permission model.
  const permission: NodeJS.ProcessPermission | undefined = process.permission
  if (!process.features.inspector) return 'this Node has no inspector'
  // The inspector reaches the main thread of the process, which is not the thread that the guard runs in.
  if (!isMainThread) return 'the guard runs in a worker thread'
  // Without the permission, Node does not refuse the inspector in a thread: it aborts the process (a failed
  // CHECK).
  if (permission !== undefined && !permission.has('inspector')) {
    return 'the permission model forbids the inspector: give --allow-inspector, which Node has since version 24'
  }
  return undefined
}
