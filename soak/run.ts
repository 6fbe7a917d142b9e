/** One run: a warm-up, the load with the chaos, and then, step by step, what is left when each has ended. */

import { readdirSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import type { Witness } from '../test/harness/witness.js'
import type { Culprit } from './census.js'
import { Descriptors } from './descriptors.js'
import { Memory } from './memory.js'
import { type Findings, type Parts, sayProgress } from './report.js'
import type { Settings } from './settings.js'

const progressMs = 10_000
// A sixth of the time, in which nothing is killed: what a process opens once and for all is no leak.
const warmUpShare = 1 / 6
const mostWarmUpMs = 20_000
// Within that all that has ended is gone: grace, proof, and a machine with other work.
const goneWithinMs = 10_000
// The control leaves what it leaves: to wait proves no more.
const goneUnguardedMs = 1_000
const lookMs = 100

export interface Place {
  readonly witness: Witness
  /** The workers' folder for temporary files. */
  readonly folder: string
  /** Those of the soak itself, before there was any worker. */
  readonly ownDescriptors: Descriptors
}

/** Carries out the run, until no worker is left. An abort ends the load; all the rest follows as ever. */
export async function run(
  settings: Settings,
  parts: Parts,
  place: Place,
  stop: AbortSignal
): Promise<Findings> {
  const { crew, census, load, chaos } = parts
  const { witness, folder, ownDescriptors } = place
  const withinMs = settings.isGuarded ? goneWithinMs : goneUnguardedMs
  const startedAt = performance.now()
  const endAt = startedAt + settings.seconds * 1_000
  const progress = setInterval(() => sayProgress(startedAt, parts), progressMs)

  load.start()
  await lapse(Math.min(settings.seconds * 1_000 * warmUpShare, mostWarmUpMs), stop)
  await idle(parts, withinMs)
  const { pid, keeper } = crew.spared
  const ofSpared = [new Descriptors('worker 1', pid)]
  if (keeper !== undefined) ofSpared.push(new Descriptors('its keeper', keeper))

  const memory = new Memory()
  memory.start({ 'worker 1': pid, 'its keeper': keeper })
  chaos.start()
  load.start()
  await lapse(endAt - performance.now(), stop)
  chaos.stop()
  memory.stop()
  clearInterval(progress)
  // Those that replace the last killed ones, too, are to be closed as a server is.
  await crew.allReady()
  const leftByRequests = await idle(parts, withinMs)
  const descriptors = await Promise.all(ofSpared.map((each) => each.compare()))
  const zombiesOfCrew = await untilNone(() => census.zombies(), withinMs)

  await crew.close()
  const alive = await untilNone(() => census.alive(), withinMs)
  const zombies = await untilNone(() => census.zombies(), withinMs)
  const isProven = await witness.goneWithin(withinMs)
  const folders = readdirSync(folder)
  await census.endAll()
  // Its pipe is one of the descriptors of the soak itself.
  witness.close()
  descriptors.unshift(await ownDescriptors.compare())
  return {
    leftByRequests,
    alive,
    zombies: [...zombiesOfCrew, ...zombies],
    isProven,
    descriptors,
    memory: memory.findings(),
    folders
  }
}

/** Ends the load, and resolves with the programs that do not end with it. */
async function idle({ load, crew, census }: Parts, withinMs: number): Promise<Culprit[]> {
  await load.stop()
  crew.hangUp()
  return untilNone(() => census.programs(), withinMs)
}

/** Looks until nothing is found, or the time is up; then that is what was found. */
async function untilNone(look: () => Culprit[], withinMs: number): Promise<Culprit[]> {
  const until = performance.now() + withinMs
  let found = look()
  while (found.length > 0 && performance.now() < until) {
    await pause(lookMs)
    found = look()
  }
  return found
}

async function lapse(ms: number, stop: AbortSignal): Promise<void> {
  // It rejects when it is cut short, and that is all it has to say.
  await pause(ms, undefined, { signal: stop }).catch(() => {})
}
