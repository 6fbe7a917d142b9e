/** The workers of the cluster: one for each slot, replaced when it ends. */

import cluster, { type Worker } from 'node:cluster'
import { once } from 'node:events'
import { Agent } from 'node:http'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import {
  type PrimaryMessage,
  sparedSlot,
  type WorkerMessage,
  type WorkerSettings,
  workerCount
} from './settings.js'

// Far more than a start or an end takes.
const startWithinMs = 30_000
const endWithinMs = 20_000
const mostFaultsKept = 50

/** One worker, from its start to its end. */
export interface Member {
  readonly slot: number
  readonly worker: Worker
  readonly pid: number
  /** Keeps the connections of its clients open. */
  readonly agent: Agent
  state: 'starting' | 'ready' | 'killed' | 'closing'
  port: number
  keeper: number | undefined
  containment: string | undefined
  /** When its keeper was last killed, by `performance.now()`. */
  keeperKilledAt: number | undefined
}

export class Crew {
  readonly #env: NodeJS.ProcessEnv
  readonly #slots = new Map<number, Member>()
  /** Log lines and exits of workers and keepers that should not occur. */
  readonly faults: string[] = []
  /** The number of survivors that the guard itself has reported. */
  namedSurvivors = 0
  started = 0
  #isClosing = false

  constructor(settings: WorkerSettings, env: NodeJS.ProcessEnv) {
    const exec = fileURLToPath(new URL('worker.js', import.meta.url))
    cluster.setupPrimary({ exec, args: [JSON.stringify(settings)], execArgv: [], silent: true })
    this.#env = env
    for (let slot = 1; slot <= workerCount; slot++) this.#start(slot)
  }

  get members(): Member[] {
    return [...this.#slots.values()]
  }

  /** The workers that accept requests. */
  get ready(): Member[] {
    return this.members.filter(({ state }) => state === 'ready')
  }

  /** The worker that is never killed. */
  get spared(): Member {
    return this.#slots.get(sparedSlot) as Member
  }

  /** Resolves when the worker of every slot accepts requests. */
  async allReady(): Promise<void> {
    const until = performance.now() + startWithinMs
    while (this.ready.length < workerCount) {
      if (performance.now() > until) {
        throw new Error(`not all workers are ready within ${startWithinMs} ms: ${this.faults.join('; ')}`)
      }
      await pause(20)
    }
  }

  /** Closes the connections that clients keep open. */
  hangUp(): void {
    for (const { agent } of this.members) agent.destroy()
  }

  /** Kills a worker. Another one of its slot replaces it. */
  kill(member: Member): void {
    // First, so that no client chooses it.
    member.state = 'killed'
    member.worker.process.kill('SIGKILL')
  }

  /** Closes every worker as a server closes. One that does not end in time is left to the census. */
  async close(): Promise<void> {
    this.#isClosing = true
    await Promise.all(this.members.map((member) => this.#end(member)))
  }

  async #end(member: Member): Promise<void> {
    const { worker, slot, pid } = member
    member.agent.destroy()
    if (worker.isDead() || !worker.isConnected()) return
    member.state = 'closing'
    const ended = once(worker, 'exit')
    worker.send({ type: 'close' } satisfies PrimaryMessage)
    const late = new AbortController()
    const first = await Promise.race([ended, pause(endWithinMs, 'late', { signal: late.signal })])
    late.abort()
    if (first === 'late') this.#fault(`worker ${slot} (${pid}) did not end in ${endWithinMs} ms when closed`)
  }

  #start(slot: number): void {
    const worker = cluster.fork(this.#env)
    const member: Member = {
      slot,
      worker,
      pid: worker.process.pid as number,
      agent: new Agent({ keepAlive: true }),
      state: 'starting',
      port: 0,
      keeper: undefined,
      containment: undefined,
      keeperKilledAt: undefined
    }
    this.started++
    this.#slots.set(slot, member)
    const { stdout, stderr } = worker.process
    // The worker logs the guard's reports. After the end of the worker, the keeper logs them.
    for (const output of [stdout, stderr] as Readable[]) {
      createInterface({ input: output }).on('line', (line) => this.#readLine(line))
    }
    worker.on('message', (message: WorkerMessage) => {
      member.keeper = message.keeper
      if (message.type !== 'ready') return
      member.port = message.port
      member.containment = message.containment
      if (member.state === 'starting') member.state = 'ready'
    })
    worker.once('exit', (code, signal) => this.#replace(member, signal ?? `status ${code}`))
  }

  #replace({ slot, pid, state, agent }: Member, how: string): void {
    agent.destroy()
    const wasAsked = state === 'killed' || (state === 'closing' && how === 'status 0')
    if (!wasAsked) this.#fault(`worker ${slot} (${pid}) ended by itself: ${how}`)
    if (!this.#isClosing) this.#start(slot)
  }

  #readLine(line: string): void {
    const [, survived] = / (\d+) survived"/.exec(line) ?? []
    this.namedSurvivors += Number(survived ?? 0)
    const isWrong = Number(survived) > 0 || line.includes('"leftFolders"') || !line.startsWith('{')
    if (isWrong) this.#fault(line)
  }

  #fault(text: string): void {
    if (this.faults.length < mostFaultsKept) this.faults.push(text)
  }
}
