/** The main thread's end of the thread that watches it: starts it, and tells it whom to answer. */

import { isMainThread, Worker } from 'node:worker_threads'
import type { Attention } from './watch-thread-main.js'

// Far more than it needs: a deep recursion is told frame by frame. A thread that passes them ends alone.
const resourceLimits = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 2 }

/**
 * Costs nothing until it is asked but the thread's memory. It is no reason for the process to stay, and whatever
 * goes wrong with it is no reason to end.
 */
export class WatchThread {
  readonly #onFailed: (why: string) => void
  #thread: Worker | undefined
  #failed: string | undefined

  /**
   * Starts the thread, of the keeper's file. Where there can be none, and when it ends unasked, `onFailed` is told why: once, and never
   * before this has returned.
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

  /** Has the thread connect to a keeper, leave the one before, and send the header before all else. */
  attend(path: string, header: string): void {
    this.#thread?.postMessage({ path, header } satisfies Attention)
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
        // What configures the worker, a preload or a heap limit, is not meant for this thread.
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
    // Stopped, or told already.
    if (this.#thread === undefined) return
    this.#thread = undefined
    this.#fail(why)
  }

  #fail(why: string): void {
    this.#failed = why
    queueMicrotask(() => this.#onFailed(why))
  }
}

/** Why it is useless, or worse, to start the thread. */
function whyNoThread(): string | undefined {
  // Only there under the permission model.
  const permission: NodeJS.ProcessPermission | undefined = process.permission
  if (!process.features.inspector) return 'this Node has no inspector'
  // The inspector reaches the main thread of the process, which is not the one that is to be watched.
  if (!isMainThread) return 'the guard runs in a worker thread'
  // Asked from a thread, Node does not refuse the inspector then: it aborts the process (a failed CHECK).
  if (permission !== undefined && !permission.has('inspector')) {
    return 'the permission model forbids the inspector: give --allow-inspector, which Node has since version 24'
  }
  return undefined
}
