/** The law of the connection: many connections run at once, and what must be so when all of them have ended. */

import { eventually } from '../expectations.js'
import { childrenOf, descriptorsOf } from '../proc.js'
import { Begun } from './begun.js'
import { converse } from './connection.js'
import { type Plan, type ServerName, serverNames } from './plan.js'
import { plainKinds, type Sent } from './requests.js'
import { Servers } from './servers.js'

// What only some connections open for good: a leak of one in each run of many is more than that soon.
const roomForDescriptors = 4
const heard = ['uncaughtExceptionMonitor', 'unhandledRejection', 'warning'] as const
const answered: Sent = { kind: 'runs', deadline: 'distant', upload: 0, isHalf: false }

export class Laws {
  /** How long whatever must come may take, in ms. */
  patienceMs: number
  readonly #servers: Servers
  /** What the process has warned of, and what nobody has caught. */
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

  /** Opens what the first connections open for good. From then on there may be as many descriptors, and few more. */
  async warmUp(): Promise<void> {
    await this.faultsOf(
      serverNames.flatMap((server) =>
        plainKinds.map((kind) => readsOne(server, { ...answered, kind, deadline: 'soon' }))
      )
    )
    this.#descriptors = descriptorsOf(process.pid) + roomForDescriptors
  }

  /** Runs the connections at once. Resolves with what is against the law: nothing, or one line for each fault. */
  async faultsOf(plans: readonly Plan[]): Promise<string[]> {
    const begun = new Begun()
    this.#servers.begun = begun
    this.#heard = []
    try {
      const faults = await Promise.all(plans.map((plan, index) => this.#converse(plan, String(index), begun)))
      return [...faults.flat(), ...(await this.#faultsAfter(begun))]
    } finally {
      await this.#tidyUp(begun)
    }
  }

  async #faultsAfter(begun: Begun): Promise<string[]> {
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
        return `${this.#scopes().length} are open, of the requests ${begun.open().join(', ')}`
      }
    )
    // They run on with their scopes.
    if (faults.length === 0) {
      await expect('the keeper has no child', () => childrenOf(this.#keeper).length === 0)
      if (!(await begun.witness.goneWithin(this.patienceMs)))
        faults.push(`alive: ${begun.witness.living().map(({ pid, name }) => `${pid} ${name}`)}`)
    }
    // Each serves another request, with a command.
    const pings = serverNames.map((server) => readsOne(server, answered))
    const answers = await Promise.all(
      pings.map((plan, index) => this.#converse(plan, `ping-${index}`, begun))
    )
    faults.push(...answers.flat())
    await expect('no connection is open', () => this.#servers.connections === 0)
    await expect(`there are no more than ${this.#descriptors} descriptors`, () => {
      return descriptorsOf(process.pid) <= this.#descriptors
    })
    faults.push(...this.#heard)
    return faults
  }

  #converse(plan: Plan, name: string, begun: Begun): Promise<string[]> {
    return converse(this.#servers.all[plan.server].port, plan, name, begun, this.patienceMs)
  }

  #scopes() {
    return Object.values(this.#servers.all).flatMap(({ guard }) => guard.scopes())
  }

  get #keeper(): number {
    return this.#servers.all.Fastify.guard.keeper
  }

  /** What was left ends here, so that the next connections are judged by themselves. */
  async #tidyUp({ witness }: Begun): Promise<void> {
    this.#servers.cutConnections()
    await Promise.all(this.#scopes().map((scope) => scope.close()))
    for (const { log } of Object.values(this.#servers.all)) log.length = 0
    witness.close()
  }
}

/** A connection with one request, whose answer is read. */
function readsOne(server: ServerName, sent: Sent): Plan {
  const protocol = server === 'Fastify, HTTP/2' ? 'HTTP/2' : 'HTTP/1.1'
  return { server, protocol, isPipelined: true, requests: [sent], ending: { how: 'reads' } }
}
