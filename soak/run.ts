/** One run: the warm-up, the load with the chaos, and then a check after each step of the shutdown. */

import { readdirSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import type { Witness } from '../test/harness/witness.js'
import type { Culprit } from './census.js'
import { Descriptors } from './descriptors.js'
import { Memory } from './memory.js'
import { type Findings, type Parts, printProgress } from './report.js'
import type { Settings } from './settings.js'

const progressMs = 10_000
// For a sixth of the time nothing is killed: what a process opens once and keeps is no leak.
const warmUpShare = 1 / 6
const mostWarmUpMs = 20_000
// Enough for the grace period and the proof on a busy machine.
const goneWithinMs = 10_000
// The negative control leaves processes behind: waiting longer proves nothing more.
const goneUnguardedMs = 1_000
const scanPauseMs = 100

export interface Place {
  readonly witness: Witness
  /** The TMPDIR of the workers. */
  readonly folder: string
  /** Of the soak itself, before the first worker. */
  readonly ownDescriptors: Descriptors
}

/** Runs until no worker is left. An abort ends only the load: all checks follow as usual. */
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
  const progress = setInterval(() => printProgress(startedAt, parts), progressMs)

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
  // So that the replacements of the last killed workers are closed like servers, too.
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
  // The witness's pipe is one of the soak's own descriptors.
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

/** Stops the load and resolves with the programs that are still alive afterwards. */
async function idle({ load, crew, census }: Parts, withinMs: number): Promise<Culprit[]> {
  await load.stop()
  crew.hangUp()
  return untilNone(() => census.programs(), withinMs)
}

/** Scans until nothing is found or the time is up. Resolves with the result of the last scan. */
async function untilNone(scan: () => Culprit[], withinMs: number): Promise<Culprit[]> {
  const until = performance.now() + withinMs
  let found = scan()
  while (found.length > 0 && performance.now() < until) {
    await pause(scanPauseMs)
    found = scan()
  }
  return found
}

async function lapse(ms: number, stop: AbortSignal): Promise<void> {
  // It rejects only if it is aborted.
  await pause(ms, undefined, { signal: stop }).catch(() => {})
}
