/** Kills a worker every second, and a keeper from time to time. */

import type { Crew, Member } from './crew.js'
import { keeperKillSlots, type Settings, sparedSlot } from './settings.js'

const workerKillMs = 1_000
const keeperKillMs = 10_000
// So that a short run kills one, too.
const keeperKillsPerRun = 4

export class Chaos {
  readonly #crew: Crew
  readonly #settings: Settings
  #timers: NodeJS.Timeout[] = []
  killedWorkers = 0
  killedKeepers = 0

  constructor(crew: Crew, settings: Settings) {
    this.#crew = crew
    this.#settings = settings
  }

  start(): void {
    const { seconds, killsKeepers } = this.#settings
    this.#timers = [setInterval(() => this.#killWorker(), workerKillMs)]
    if (!killsKeepers) return
    // The first one now: later, the workers whose keepers may be killed may be restarting themselves.
    this.#killKeeper()
    const everyMs = Math.min(keeperKillMs, (seconds * 1_000) / keeperKillsPerRun)
    this.#timers.push(setInterval(() => this.#killKeeper(), everyMs))
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer)
  }

  #killWorker(): void {
    const member = oneOf(this.#crew.ready.filter(({ slot }) => slot !== sparedSlot))
    // All are being replaced: try again in a second.
    if (member === undefined) return
    this.#crew.kill(member)
    this.killedWorkers++
  }

  #killKeeper(): void {
    const member = oneOf(this.#crew.ready.filter(({ slot }) => keeperKillSlots.includes(slot)))
    if (member?.keeper === undefined) return
    try {
      process.kill(member.keeper, 'SIGKILL')
    } catch {
      // ESRCH: it was killed before, and its worker has not needed another keeper yet.
      return
    }
    member.keeperKilledAt = performance.now()
    this.killedKeepers++
  }
}

function oneOf(members: readonly Member[]): Member | undefined {
  return members[Math.floor(Math.random() * members.length)]
}
