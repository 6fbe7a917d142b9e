/**
 * Runs the compiled tests, several files at a time: all that are not long, those whose path contains one of
 * the arguments (`npm test -- deadline tree`), or all except those (`npm test -- --but deadline tree`).
 *
 * `--lanes 1` runs one file at a time. `--times` prints the time of each test. `--root
 * DIRECTORY` runs the files of another directory. `--gone-within MS` is how long the
 * processes of a file may take to end after it.
 */

import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { endAll } from './alive.js'
import { planOf } from './files.js'
import { type FileResult, runFile } from './run-file.js'
import { Screen } from './screen.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    but: { type: 'boolean', default: false },
    // Most files spend most of their time waiting for processes.
    lanes: { type: 'string', default: String(3 * availableParallelism()) },
    times: { type: 'boolean', default: false },
    root: { type: 'string', default: fileURLToPath(new URL('..', import.meta.url)) },
    // Keepers of workers that end with the file have their grace period, and hooks their time limit.
    'gone-within': { type: 'string', default: '20000' }
  }
})
const lanes = wholeNumber('lanes', values.lanes)
const goneWithinMs = wholeNumber('gone-within', values['gone-within'])
const plan = planOf(values.root, positionals, values.but)
const total = plan.together.length + plan.alone.length
if (total === 0) refuse(`no test file below ${values.root} matches ${positionals.join(' ')}`)

// Short names, because the path of a socket has at most 107 bytes.
const folder = mkdtempSync(join(tmpdir(), 'sg-'))
chmodSync(folder, 0o755)
// The prefix makes a run within a run part of the outer one, which ends it too.
const run = `${process.env.SUBPROCESS_GUARD_REALM ?? ''}r${process.pid}-`
const screen = new Screen(total)
const results: FileResult[] = []
let begun = 0
let isBroken = false

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void breakOff(signal))

const startedAt = performance.now()
await runAll(plan.together, lanes)
await runAll(plan.alone, 1)
if (!isBroken) {
  cleanUp()
  if (values.times) screen.times(results)
  screen.sum(results, performance.now() - startedAt)
  process.exitCode = results.every(({ failures }) => failures.length === 0) ? 0 : 1
}

/** Runs the files, with so many lanes. */
async function runAll(files: readonly string[], lanes: number): Promise<void> {
  const waiting = [...files]
  const lane = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined && !isBroken; file = waiting.shift()) {
      screen.began(file)
      const number = (++begun).toString(36)
      const place = {
        root: values.root,
        folder: join(folder, number),
        realm: `${run}${number}-`,
        goneWithinMs
      }
      const result = await runFile(file, place)
      if (isBroken) return
      results.push(result)
      screen.ended(result)
    }
  }
  await Promise.all(Array.from({ length: lanes }, lane))
}

/** Ends everything that the run has started, and removes its directories. */
async function breakOff(signal: NodeJS.Signals): Promise<void> {
  if (isBroken) return
  isBroken = true
  screen.clear()
  console.error(`${signal}: ending everything`)
  await endAll({ realm: run, folder })
  cleanUp()
  process.exit(130)
}

function cleanUp(): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  // The registry of released processes, for sweeps of the same realm.
  const notes = `/dev/shm/subprocess-guard-${process.geteuid?.()}`
  try {
    // The directory stays, because another run may be about to use it.
    for (const name of readdirSync(notes)) if (name.includes(`~${run}`)) rmSync(join(notes, name))
  } catch {
    // There is no registry.
  }
}

function wholeNumber(option: string, text: string): number {
  if (!/^[1-9]\d*$/.test(text))
    refuse(`--${option} is ${JSON.stringify(text)}: set it to a whole number above 0`)
  return Number(text)
}

function refuse(why: string): never {
  console.error(why)
  process.exit(2)
}
