/** The soak: kills workers and keepers of a cluster under load for minutes, then checks what is left. */

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
import { printReport, say } from './report.js'
import { run } from './run.js'
import { markName, readSettings, type Settings } from './settings.js'
import { Tally } from './tally.js'

const scanMs = 200

const stop = new AbortController()
let census: Census | undefined

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stopOn(signal))

try {
  if (process.platform !== 'linux') throw new Error('it reads /proc, which exists only on Linux')
  const isClean = await soak(readSettings(process.argv.slice(2)))
  process.exitCode = isClean ? 0 : 1
} catch (error) {
  console.error(`The soak could not run: ${(error as Error).message}`)
  process.exitCode = 2
}

/** Resolves with whether nothing was wrong. */
async function soak(settings: Settings): Promise<boolean> {
  // The first child and the first signal handler open descriptors that Node never closes.
  await promisify(execFile)('true')
  const ownDescriptors = new Descriptors('the soak itself', process.pid)
  const folder = mkdtempSync(join(tmpdir(), 'soak-'))
  const mark = randomUUID()
  const witness = new Witness()
  const started = new Census(mark, witness)
  census = started
  const scans = setInterval(() => started.scan(), scanMs)
  const crew = new Crew(settings, { ...witness.env, [markName]: mark, TMPDIR: folder })
  try {
    await crew.allReady()
    const { containment } = crew.spared
    say(
      `${settings.seconds} s, ${containment === undefined ? 'WITHOUT GUARD' : `containment "${containment}"`}`
    )
    const tally = new Tally()
    const chaos = new Chaos(crew, settings)
    const parts = { crew, census: started, tally, chaos, load: new Load(crew, started, tally) }
    const findings = await run(settings, parts, { witness, folder, ownDescriptors }, stop.signal)
    return printReport(parts, findings)
  } finally {
    clearInterval(scans)
    await crew.close()
    await started.endAll()
    witness.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The first signal ends the load, the second one everything. */
function stopOn(signal: 'SIGINT' | 'SIGTERM'): void {
  if (!stop.signal.aborted) {
    say(`\n${signal}: stopping the load. Send it again to exit without any checks.`)
    stop.abort()
    return
  }
  void Promise.resolve(census?.endAll()).then(() => process.exit(128 + constants.signals[signal]))
}
