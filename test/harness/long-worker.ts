/** A worker that serves for a long time, its clients, and the figures of it and its keeper while idle. */

import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Agent, type ClientRequest, request as httpRequest } from 'node:http'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { eventually } from './expectations.js'
import { InspectedProcess } from './inspected-process.js'
import type { WorkerFigures } from './long-main.js'
import { patienceMs } from './patience.js'
import { childrenOf, descriptorsOf, lives } from './proc.js'

const entry = fileURLToPath(new URL('./long-main.js', import.meta.url))
const clients = 40

export interface Figures {
  readonly residentBytes: number
  readonly heapBytes: number
  readonly keeperResidentBytes: number
  readonly keeperHeapBytes: number
  /** Without the connections to clients. */
  readonly descriptors: number
  readonly listeners: number
}

type Kind = 'late' | 'left' | 'finishes'
const kinds: readonly Kind[] = ['late', 'left', 'finishes', 'finishes', 'finishes']

export class LongWorker {
  /** The number of requests that ended in each way. */
  readonly ends: Record<Kind, number> = { late: 0, left: 0, finishes: 0 }
  readonly #process: ChildProcess
  readonly #agent = new Agent({ keepAlive: true, maxSockets: clients })
  #inspected!: InspectedProcess
  #port = 0
  #keeper = 0
  #sent = 0

  /** A sound worker, or one that leaks for the negative control. */
  static async start(kind: 'sound' | 'leaky'): Promise<LongWorker> {
    const worker = new LongWorker(kind)
    const [{ port, keeper }] = await once(worker.#process, 'message')
    worker.#port = port
    worker.#keeper = keeper
    try {
      worker.#inspected = await InspectedProcess.open(keeper)
    } catch (error) {
      await worker.close()
      throw error
    }
    return worker
  }

  private constructor(kind: string) {
    this.#process = fork(entry, [kind], { execArgv: ['--expose-gc'] })
  }

  /**
   * Sends so many requests: one fifth passes its deadline, one fifth is cancelled by the client, and every
   * tenth of all starts a command.
   */
  async load(count: number): Promise<void> {
    const until = this.#sent + count
    const client = async (): Promise<void> => {
      while (this.#sent < until) await this.#send(this.#sent++)
    }
    await Promise.all(Array.from({ length: clients }, client))
  }

  /** The figures of worker and keeper when nothing is in flight. */
  async figures(): Promise<Figures> {
    const until = performance.now() + patienceMs
    let worker = await this.#look()
    while (worker.openScopes > 0) {
      assert.ok(performance.now() < until, `${worker.openScopes} scopes are open`)
      worker = await this.#look()
    }
    await eventually('the keeper has no child', () => childrenOf(this.#keeper).length === 0)
    assert.deepEqual(worker.warnings, [])
    // The heap first, so that the resident memory is measured without garbage.
    const keeperHeapBytes = await this.#inspected.heapBytes()
    return {
      residentBytes: worker.residentBytes,
      heapBytes: worker.heapBytes,
      keeperHeapBytes,
      keeperResidentBytes: residentBytesOf(this.#keeper),
      descriptors: descriptorsOf(this.#process.pid as number) - worker.connections,
      listeners: worker.listeners
    }
  }

  /** The keeper's open descriptors. Streams of cancelled commands keep some of them open for 10 s. */
  keeperDescriptors(): number {
    return descriptorsOf(this.#keeper)
  }

  /** Kills the worker. Its keeper ends by itself. */
  async close(): Promise<void> {
    this.#agent.destroy()
    this.#inspected?.close()
    const exited = once(this.#process, 'exit')
    this.#process.kill('SIGKILL')
    await exited
    // It holds the inspector's port.
    await eventually('the keeper is gone', () => !lives(this.#keeper))
  }

  async #send(number: number): Promise<void> {
    const kind = kinds[number % kinds.length] as Kind
    const round = Math.floor(number / kinds.length)
    const start = round % 10 > 0 ? '' : round % 20 > 0 ? '?spawn=piped' : '?spawn=silent'
    if (kind === 'left') await this.#leave(`/${kind}${start}`)
    else assert.equal(await this.#statusOf(`/${kind}${start}`), kind === 'late' ? 503 : 200)
    this.ends[kind]++
  }

  async #leave(path: string): Promise<void> {
    // Node's server answers with "100 Continue" when it has received the head.
    const sent = this.#request(path, { expect: '100-continue' })
    sent.on('error', () => {})
    await once(sent, 'continue')
    // Not `once`, which rejects at the error that leaving causes.
    const closed = new Promise<void>((resolve) => sent.once('close', () => resolve()))
    sent.destroy()
    await closed
  }

  async #statusOf(path: string): Promise<number | undefined> {
    const [response] = await once(this.#request(path), 'response')
    await text(response)
    return response.statusCode
  }

  async #look(): Promise<WorkerFigures> {
    const [response] = await once(this.#request('/figures'), 'response')
    return JSON.parse(await text(response))
  }

  #request(path: string, headers = {}): ClientRequest {
    return httpRequest({ port: this.#port, host: '127.0.0.1', path, headers, agent: this.#agent }).end()
  }
}

function residentBytesOf(pid: number): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kilobytes) * 1_024
}
