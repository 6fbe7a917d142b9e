/** Controls a server from the demo: a `node:cluster` worker that gets requests, reports, and is killed. */

import cluster, { type Worker } from 'node:cluster'
import { EventEmitter, once } from 'node:events'
import { type ClientRequest, get } from 'node:http'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { WorkerMessage, WorkerSettings } from './settings.js'

// Far more than any step takes, also where files are read slowly (Windows): a demo must not hang.
const stepWithinMs = 30_000
// After the death of the worker, the keeper logs the report when all processes have ended.
const reportWithinMs = 1_000
const mostErrorsShown = 20
// The number of the level in pino.
const errorLevel = 50

/** A request whose program computes. */
export interface Computing {
  readonly request: ClientRequest
  /** Resolves with the status of the response, or the error that the client got instead. */
  readonly answered: Promise<string>
}

export class Server {
  readonly settings: WorkerSettings
  readonly #worker: Worker
  /** Emits `computing <request>` and `reported`. */
  readonly #events = new EventEmitter()
  readonly #reports: string[] = []
  /** Errors from the worker's log, in case the demo fails. */
  readonly #errors: string[] = []
  #port = 0
  keeper: number | undefined
  containment: string | undefined

  constructor(settings: WorkerSettings) {
    const exec = fileURLToPath(new URL('worker.js', import.meta.url))
    cluster.setupPrimary({ exec, args: [JSON.stringify(settings)], silent: true })
    this.settings = settings
    this.#worker = cluster.fork()
    this.#worker.on('message', (message: WorkerMessage) => this.#receive(message))
    const { stdout, stderr } = this.#worker.process
    // The worker logs the guard's reports. After the end of the worker, the keeper logs them.
    for (const output of [stdout, stderr] as Readable[]) {
      createInterface({ input: output }).on('line', (line) => this.#readLine(line))
    }
  }

  get pid(): number {
    return this.#worker.process.pid as number
  }

  get isDead(): boolean {
    return this.#worker.isDead()
  }

  async ready(): Promise<void> {
    if (this.#port === 0) await this.#waitFor('ready')
  }

  /** Sends a request and resolves when every process of its program computes. */
  async compute(path: string, id: string): Promise<Computing> {
    const begun = this.#waitFor(`computing ${id}`)
    const startedAt = performance.now()
    const options = { port: this.#port, path, headers: { 'x-request-id': id }, agent: false as const }
    const request = get(options)
    const answered = answerOf(request).then((answer) => {
      return `${answer} after ${Math.round(performance.now() - startedAt)} ms`
    })
    const early = answered.then((answer) => {
      throw new Error(`the server answered before its program computed: ${answer}${this.#lastErrors()}`)
    })
    await Promise.race([begun, early])
    return { request, answered }
  }

  /** The next report of the guard about processes that it has ended; undefined if there is none. */
  async nextReport(): Promise<string | undefined> {
    if (this.#reports.length === 0) await this.#waitFor('reported', reportWithinMs).catch(() => {})
    return this.#reports.shift()
  }

  /** Resolves when the worker has ended. */
  async kill(): Promise<void> {
    if (this.#worker.isDead()) return
    const ended = once(this.#worker, 'exit')
    this.#worker.process.kill('SIGKILL')
    await ended
  }

  #receive(message: WorkerMessage): void {
    if (message.type === 'computing') this.#events.emit(`computing ${message.request}`)
    else {
      this.#port = message.port
      this.keeper = message.keeper
      this.containment = message.containment
      this.#events.emit('ready')
    }
  }

  #readLine(line: string): void {
    try {
      const { processes, level, msg } = JSON.parse(line)
      if (Array.isArray(processes)) this.#addReport(msg)
      else if (level >= errorLevel) this.#errors.push(msg)
    } catch {
      this.#errors.push(line)
    }
  }

  #lastErrors(): string {
    return this.#errors
      .slice(-mostErrorsShown)
      .map((error) => `\n  ${error}`)
      .join('')
  }

  #addReport(report: string): void {
    this.#reports.push(report)
    this.#events.emit('reported')
  }

  async #waitFor(event: string, withinMs = stepWithinMs): Promise<void> {
    const patience = new AbortController()
    const timer = setTimeout(() => patience.abort(), withinMs)
    try {
      await once(this.#events, event, { signal: patience.signal })
    } catch (cause) {
      throw new Error(`no "${event}" within ${withinMs} ms${this.#lastErrors()}`, { cause })
    } finally {
      clearTimeout(timer)
    }
  }
}

function answerOf(request: ClientRequest): Promise<string> {
  return new Promise((resolve) => {
    request.once('error', (error) => resolve(error.message))
    request.once('response', (response) => {
      response.resume().once('close', () => resolve(`status ${response.statusCode}`))
    })
  })
}
