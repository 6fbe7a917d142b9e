/** Runs one test file in its own process, realm and temporary directory, and checks that nothing is left. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { aliveAfter, endAll, listOf, type Origin } from './alive.js'
import { removeCgroups } from './cgroups-left.js'
import { lastBegunFile, type TestEvent } from './result.js'

export interface Failure {
  readonly name: string
  readonly error: string
  readonly alive: string
}

export interface FileResult {
  readonly file: string
  readonly ms: number
  readonly passed: number
  readonly skipped: readonly { readonly name: string; readonly why: string }[]
  readonly failures: readonly Failure[]
  readonly notes: readonly string[]
  /** The passed tests and their times. */
  readonly times: readonly { readonly name: string; readonly ms: number }[]
  /** The output of the file. */
  readonly output: string
}

/** The environment of a file. */
export interface Place {
  /** The directory of the compiled test files. */
  readonly root: string
  /** A new directory for its temporary files. */
  readonly folder: string
  /** No other realm may begin with it: every realm that does is the file's. */
  readonly realm: string
  /** How long the processes of the file may take to end after it, in ms. */
  readonly goneWithinMs: number
  /** Further variables, and options of Node. */
  readonly env?: NodeJS.ProcessEnv
  readonly flags?: readonly string[]
}

// Node reads these certificates at each start, which takes longer than everything else. Only npm needs them,
// and gets them back (`test/package.test.ts`).
const { NODE_EXTRA_CA_CERTS: certificates, ...env } = process.env
if (certificates !== undefined) env.NPM_CA_CERTS = certificates

const preload = new URL('./preload.js', import.meta.url).href
const reporter = fileURLToPath(new URL('./reporter.js', import.meta.url))
// On a quiet machine, the longest file takes a minute and a half, and
// the longest of the long ones five minutes.
const longestMs = 900_000

export async function runFile(
  file: string,
  { root, folder, realm, goneWithinMs, ...place }: Place
): Promise<FileResult> {
  const tmp = join(folder, 't')
  mkdirSync(tmp, { recursive: true })
  // Programs of other users use it too.
  for (const path of [folder, tmp]) chmodSync(path, 0o755)
  const [results, printed] = [join(folder, 'results'), join(folder, 'output')]
  const output = openSync(printed, 'a')
  const startedAt = performance.now()
  const reporting = [`--test-reporter=${reporter}`, `--test-reporter-destination=${results}`]
  const flags = ['--import', preload, ...reporting, ...(place.flags ?? [])]
  const child = spawn(process.execPath, [...flags, join(root, file)], {
    env: { ...env, TMPDIR: tmp, SUBPROCESS_GUARD_REALM: realm, ...place.env },
    stdio: ['ignore', output, output],
    // Its own session: Ctrl-C in a terminal reaches only the runner, which ends everything.
    detached: true
  })
  closeSync(output)
  const exited = once(child, 'exit')
  const origin: Origin = { realm, folder: tmp, session: child.pid as number }
  let isLate = false
  const patience = setTimeout(() => {
    isLate = true
    child.kill('SIGKILL')
  }, longestMs)
  const [status, signal] = await exited
  clearTimeout(patience)

  const left = await aliveAfter(origin, isLate ? 0 : goneWithinMs)
  if (left.length > 0) await endAll(origin)
  const ms = performance.now() - startedAt
  const leftCgroups = removeCgroups(realm)
  const leftFiles = readdirSync(tmp)
  const lastBegun = readIfThere(join(folder, lastBegunFile)) || 'none'
  const result = summaryOf(file, ms, eventsIn(results), readFileSync(printed, 'utf8'))
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })

  const failures: Failure[] = [...result.failures]
  const fail = (error: string, alive = ''): void => void failures.push({ name: file, error, alive })
  if (isLate) fail(`it did not end within ${longestMs / 1_000} s; last to begin: ${lastBegun}`, listOf(left))
  else if (failures.length === 0 && status !== 0)
    fail(`it ended with ${status ?? signal}; last to begin: ${lastBegun}`)
  else if (left.length > 0) fail('it has left processes', listOf(left))
  else if (failures.length === 0 && leftFiles.length > 0) fail(`it has left files: ${leftFiles.join(', ')}`)
  else if (failures.length === 0 && leftCgroups.length > 0)
    fail(`it has left processes in cgroups: ${leftCgroups.join(', ')}`)
  else if (result.passed + result.skipped.length + failures.length === 0) fail('it has no test')
  return { ...result, failures }
}

function eventsIn(path: string): TestEvent[] {
  const lines = readIfThere(path).split('\n')
  // The last line is empty or was cut off.
  return lines.slice(0, -1).map((line) => JSON.parse(line))
}

function readIfThere(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}

function summaryOf(file: string, ms: number, events: readonly TestEvent[], output: string) {
  const failures = events.filter((event) => event.type === 'fail')
  const skipped = events.filter((event) => event.type === 'skip')
  const times = events.filter((event) => event.type === 'pass')
  const notes = events.flatMap((event) => (event.type === 'note' ? event.text : []))
  return { file, ms, passed: times.length, skipped, failures, notes, times, output }
}
