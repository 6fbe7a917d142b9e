/** The load: so many requests in flight, of all endings in turn, at workers that serve. */

import { setTimeout as pause } from 'node:timers/promises'
import type { Census } from './census.js'
import { ask } from './client.js'
import type { Crew, Member } from './crew.js'
import { type Ending, endings } from './endings.js'
import { keeperKillSlots } from './settings.js'
import type { Disturbance, Tally } from './tally.js'

// Two cores are busy with that, and not more than busy.
const inFlight = 24
// What is left behind without the guard would fill the machine.
const mostAlive = 150
const brakeMs = 50
// So long after its keeper was killed a worker may still be at a loss.
const lostKeeperMs = 2_000

export class Load {
  readonly #crew: Crew
  readonly #census: Census
  readonly #tally: Tally
  readonly #round: readonly Ending[]
  #clients: Promise<void>[] = []
  #isRunning = false
  #lastRequest = 0
  /** How often a client waited since too many processes were alive. */
  braked = 0

  constructor(crew: Crew, census: Census, tally: Tally) {
    this.#crew = crew
    this.#census = census
    this.#tally = tally
    // Without a subreaper such a daemon escapes, as the README says.
    const hasSubreaper = [undefined, 'subreaper'].includes(crew.spared.containment)
    const played = endings.filter(({ needsKeeper }) => hasSubreaper || !needsKeeper)
    this.#round = mixed(played.flatMap((ending) => Array<Ending>(ending.share).fill(ending)))
  }

  start(): void {
    this.#isRunning = true
    this.#clients = Array.from({ length: inFlight }, () => this.#runClient())
  }

  /** Resolves when the last request has ended. */
  async stop(): Promise<void> {
    this.#isRunning = false
    await Promise.all(this.#clients)
  }

  async #runClient(): Promise<void> {
    while (this.#isRunning) {
      if (this.#census.programCount > mostAlive) {
        this.braked++
        await pause(brakeMs)
        continue
      }
      const request = ++this.#lastRequest
      const ending = this.#round[request % this.#round.length] as Ending
      const member = this.#choose(ending)
      const sentAt = performance.now()
      const outcome = await ask({ port: member.port, agent: member.agent, request }, ending)
      this.#census.requestEnded(request)
      this.#tally.count(ending, outcome, disturbanceOf(member, sentAt), request)
    }
  }

  /** One of the workers that serve: at least the spared one does. */
  #choose({ needsKeeper }: Ending): Member {
    const fit = this.#crew.ready.filter(({ slot }) => !needsKeeper || !keeperKillSlots.includes(slot))
    return fit[Math.floor(Math.random() * fit.length)] as Member
  }
}

function disturbanceOf({ state, keeperKilledAt }: Member, sentAt: number): Disturbance {
  if (state === 'killed') return 'worker killed'
  const wasLost = keeperKilledAt !== undefined && sentAt < keeperKilledAt + lostKeeperMs
  return wasLost ? 'keeper killed' : undefined
}

/** The same in an order in which like seldom follows like, and which is the same in every run. */
function mixed(round: readonly Ending[]): Ending[] {
  const order: Ending[] = []
  const rest = [...round]
  for (let at = 0; rest.length > 0; at += 17) order.push(...rest.splice(at % rest.length, 1))
  return order
}
