/** The soak: a cluster under load for minutes while its workers and keepers are killed, and what is left of it. */

import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Witness } from '../test/harness/witness.js'
import { Census } from './census.js'
import { Chaos } from './chaos.js'
import { Crew } from './crew.js'
import { Descriptors } from './descriptors.js'
import { Load } from './load.js'
import { say, sayReport } from './report.js'
import { run } from './run.js'
import { markName, readSettings, type Settings } from './settings.js'
import { Tally } from './tally.js'

const lookMs = 200

const stop = new AbortController()
let census: Census | undefined

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stopOn(signal))

try {
  if (process.platform !== 'linux') throw new Error('it reads /proc, which only Linux has')
  const isClean = await soak(readSettings(process.argv.slice(2)))
  process.exitCode = isClean ? 0 : 1
} catch (error) {
  console.error(`The soak could not be carried out: ${(error as Error).message}`)
  process.exitCode = 2
}

/** Returns whether all is well. */
async function soak(settings: Settings): Promise<boolean> {
  // The first child, like the first signal, opens what Node keeps for the rest of its life.
  await promisify(execFile)('true')
  const ownDescriptors = new Descriptors('the soak itself', process.pid)
  const folder = mkdtempSync(join(tmpdir(), 'soak-'))
  const mark = randomUUID()
  const witness = new Witness()
  const looked = new Census(mark, witness)
  census = looked
  const looks = setInterval(() => looked.look(), lookMs)
  const crew = new Crew(settings, { ...witness.env, [markName]: mark, TMPDIR: folder })
  try {
    await crew.allReady()
    const { containment } = crew.spared
    say(
      `${settings.seconds} s, ${containment === undefined ? 'WITHOUT GUARD' : `containment "${containment}"`}`
    )
    const tally = new Tally()
    const chaos = new Chaos(crew, settings)
    const parts = { crew, census: looked, tally, chaos, load: new Load(crew, looked, tally) }
    const findings = await run(settings, parts, { witness, folder, ownDescriptors }, stop.signal)
    return sayReport(parts, findings)
  } finally {
    clearInterval(looks)
    await crew.close()
    await looked.endAll()
    witness.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The first ends the load; the second everything. */
function stopOn(signal: 'SIGINT' | 'SIGTERM'): void {
  if (!stop.signal.aborted) {
    say(`\n${signal}: the load ends. Once more, and nothing is looked at.`)
    stop.abort()
    return
  }
  void Promise.resolve(census?.endAll()).then(() => process.exit(128 + constants.signals[signal]))
}
