/** Keeps a number of requests in flight to the ready workers, with all endings in turn. */

import { setTimeout as pause } from 'node:timers/promises'
import type { Census } from './census.js'
import { ask } from './client.js'
import type { Crew, Member } from './crew.js'
import { type Ending, endings } from './endings.js'
import { keeperKillSlots } from './settings.js'
import type { Disturbance, Tally } from './tally.js'

// This keeps two cores busy without overloading them.
const inFlight = 24
// Without the guard, leftover processes would fill the machine.
const mostAlive = 150
const brakeMs = 50
// How long a worker may fail requests after its keeper was killed.
const lostKeeperMs = 2_000

export class Load {
  readonly #crew: Crew
  readonly #census: Census
  readonly #tally: Tally
  readonly #round: readonly Ending[]
  #clients: Promise<void>[] = []
  #isRunning = false
  #lastRequest = 0
  /** How often a client waited because too many processes were alive. */
  braked = 0

  constructor(crew: Crew, census: Census, tally: Tally) {
    this.#crew = crew
    this.#census = census
    this.#tally = tally
    // Without a subreaper, a daemon that clears its environment escapes, as the README says.
    const hasSubreaper = [undefined, 'subreaper'].includes(crew.spared.containment)
    const possible = endings.filter(({ needsKeeper }) => hasSubreaper || !needsKeeper)
    this.#round = shuffled(possible.flatMap((ending) => Array<Ending>(ending.share).fill(ending)))
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

  /** Chooses a ready worker. At least the spared one is always ready. */
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

/** Shuffles the round, in the same order for each run, so that equal endings are seldom adjacent. */
function shuffled(round: readonly Ending[]): Ending[] {
  const order: Ending[] = []
  const rest = [...round]
  for (let at = 0; rest.length > 0; at += 17) order.push(...rest.splice(at % rest.length, 1))
  return order
}
