/**
 * The laws of connections: runs many connections at once, and checks
 * what must hold when all of them have ended.
 */

import { eventually } from '../expectations.js'
import { childrenOf, descriptorsOf } from '../proc.js'
import { runConnection } from './connection.js'
import { HandlerProgress } from './handler-progress.js'
import { type Plan, type ServerName, serverNames } from './plan.js'
import { plainKinds, type Sent } from './requests.js'
import { Servers } from './servers.js'

// Only some connections open these permanently. A leak of one per run of many soon exceeds it.
const roomForDescriptors = 4
const heard = ['uncaughtExceptionMonitor', 'unhandledRejection', 'warning'] as const
const answered: Sent = { kind: 'runs', deadline: 'distant', upload: 0, isHalf: false }

export class Laws {
  /** How long to wait for anything that must come, in ms. */
  patienceMs: number
  readonly #servers: Servers
  /** Warnings of the process, and errors that nobody has caught. */
  #heard: string[] = []
  readonly #hear = (what: unknown): void => {
    this.#heard.push(what instanceof Error ? (what.stack ?? what.message) : String(what))
  }
  #descriptors = Number.POSITIVE_INFINITY

  static async start(patienceMs: number): Promise<Laws> {
    return new Laws(await Servers.start(), patienceMs)
  }

  private constructor(servers: Servers, patienceMs: number) {
    this.#servers = servers
    this.patienceMs = patienceMs
    for (const event of heard) process.on(event, this.#hear)
  }

  async close(): Promise<void> {
    for (const event of heard) process.off(event, this.#hear)
    await this.#servers.close()
  }

  /**
   * Runs the first connections, which open some descriptors permanently.
   * From then on, only a few more are allowed.
   */
  async warmUp(): Promise<void> {
    await this.faultsOf(
      serverNames.flatMap((server) =>
        plainKinds.map((kind) => readsOne(server, { ...answered, kind, deadline: 'soon' }))
      )
    )
    this.#descriptors = descriptorsOf(process.pid) + roomForDescriptors
  }

  /** Runs the connections at once. Resolves with one line per broken law. */
  async faultsOf(plans: readonly Plan[]): Promise<string[]> {
    const progress = new HandlerProgress()
    this.#servers.progress = progress
    this.#heard = []
    try {
      const faults = await Promise.all(plans.map((plan, index) => this.#run(plan, String(index), progress)))
      return [...faults.flat(), ...(await this.#faultsAfter(progress))]
    } finally {
      await this.#tidyUp(progress)
    }
  }

  async #faultsAfter(progress: HandlerProgress): Promise<string[]> {
    const faults: string[] = []
    const expect = async (what: string, isSo: () => boolean, details?: () => string): Promise<void> => {
      await eventually(what, isSo, this.patienceMs).catch((error: Error) => {
        faults.push(`${error.message}${details === undefined ? '' : `: ${details()}`}`)
      })
    }
    await expect(
      'every scope has closed',
      () => this.#scopes().length === 0,
      () => {
        return `${this.#scopes().length} are open, of the requests ${progress.openRequests().join(', ')}`
      }
    )
    // With an open scope, its processes are still alive.
    if (faults.length === 0) {
      await expect('the keeper has no child', () => childrenOf(this.#keeper).length === 0)
      if (!(await progress.witness.goneWithin(this.patienceMs)))
        faults.push(`alive: ${progress.witness.living().map(({ pid, name }) => `${pid} ${name}`)}`)
    }
    // Each server serves another request with a command.
    const pings = serverNames.map((server) => readsOne(server, answered))
    const answers = await Promise.all(pings.map((plan, index) => this.#run(plan, `ping-${index}`, progress)))
    faults.push(...answers.flat())
    await expect('no connection is open', () => this.#servers.connections === 0)
    await expect(`there are no more than ${this.#descriptors} descriptors`, () => {
      return descriptorsOf(process.pid) <= this.#descriptors
    })
    faults.push(...this.#heard)
    return faults
  }

  #run(plan: Plan, name: string, progress: HandlerProgress): Promise<string[]> {
    return runConnection(this.#servers.all[plan.server].port, plan, name, progress, this.patienceMs)
  }

  #scopes() {
    return Object.values(this.#servers.all).flatMap(({ guard }) => guard.scopes())
  }

  get #keeper(): number {
    return this.#servers.all.Fastify.guard.keeper
  }

  /** Ends what is left, so that it does not affect the next connections. */
  async #tidyUp({ witness }: HandlerProgress): Promise<void> {
    this.#servers.cutConnections()
    await Promise.all(this.#scopes().map((scope) => scope.close()))
    for (const { log } of Object.values(this.#servers.all)) log.length = 0
    witness.close()
  }
}

/** A connection with one request whose response is read. */
function readsOne(server: ServerName, sent: Sent): Plan {
  const protocol = server === 'Fastify, HTTP/2' ? 'HTTP/2' : 'HTTP/1.1'
  return { server, protocol, isPipelined: true, requests: [sent], ending: { how: 'reads' } }
}
