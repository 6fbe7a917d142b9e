/** Prints the progress of the soak, the tables at its end, and the verdict. */

import type { Census, Culprit } from './census.js'
import type { Chaos } from './chaos.js'
import type { Crew } from './crew.js'
import type { DescriptorFinding } from './descriptors.js'
import type { Load } from './load.js'
import type { MemoryFinding } from './memory.js'
import type { Tally } from './tally.js'

export interface Parts {
  readonly crew: Crew
  readonly census: Census
  readonly tally: Tally
  readonly load: Load
  readonly chaos: Chaos
}

/** What was found at the end. */
export interface Findings {
  /** The programs that were alive after all requests had ended, before the workers closed. */
  readonly leftByRequests: readonly Culprit[]
  /** The processes that were alive after all workers had ended. */
  readonly alive: readonly Culprit[]
  readonly zombies: readonly Culprit[]
  /** Whether the pipe that every program holds open was closed by all of them. */
  readonly isProven: boolean
  readonly descriptors: readonly DescriptorFinding[]
  readonly memory: readonly MemoryFinding[]
  readonly folders: readonly string[]
}

interface Fault {
  readonly title: string
  readonly lines: readonly string[]
  readonly count: number
}

const mebibyte = 1024 * 1024
const mostNamed = 20

export function say(text = ''): void {
  console.log(text)
}

export function printProgress(startedAt: number, { tally, census, chaos }: Parts): void {
  const seconds = String(Math.round((performance.now() - startedAt) / 1_000)).padStart(5)
  const killed = `${chaos.killedWorkers} workers and ${chaos.killedKeepers} keepers killed`
  const programs = `${census.programCount} programs alive, ${census.seenCount} processes seen`
  say(`${seconds} s  ${tally.requests} requests, ${programs}, ${killed}`)
}

/** Prints the tables and the verdict. Returns whether nothing was wrong. */
export function printReport(parts: Parts, findings: Findings): boolean {
  printRequests(parts.tally)
  printProcesses(parts, findings)
  say('\nMEMORY (private, MiB: medians of the second and of the last quarter of the time)')
  for (const finding of findings.memory) printRow(finding.name, describeMemory(finding))
  say('\nDESCRIPTORS (idle: before and after)')
  for (const { name, before, after } of findings.descriptors) printRow(name, `${before} and ${after}`)
  const faults = faultsIn(parts, findings)
  for (const { title, lines, count } of faults) {
    say(`\n${count} ${title.toUpperCase()}`)
    for (const line of lines.slice(0, mostNamed)) say(`  ${line}`)
    if (count > mostNamed) say(`  and ${count - mostNamed} more`)
  }
  const verdict = faults.map(({ title, count }) => `${count} ${title}`).join('; ')
  say(`\nVERDICT  ${verdict || clean(parts.tally, findings.memory)}.`)
  return faults.length === 0
}

function printRequests({ counts }: Tally): void {
  say('\nREQUESTS')
  for (const [ending, outcomes] of [...counts].sort()) {
    const sum = [...outcomes.values()].reduce((total, count) => total + count, 0)
    const came = [...outcomes].sort(([, a], [, b]) => b - a).map(([outcome, count]) => `${outcome}: ${count}`)
    say(`  ${ending.padEnd(24)} ${String(sum).padStart(6)}  ${came.join(', ')}`)
  }
}

function printProcesses(
  { crew, census, tally, load, chaos }: Parts,
  { alive, zombies, folders }: Findings
): void {
  const longest = `${Math.round(census.longestAfterMs)} ms after its request: ${census.longestAfterCommand}`
  say('\nPROCESSES')
  printRow('requests', `${tally.requests}, ${tally.wrongCount} of them with a wrong answer`)
  printRow('processes', `${census.seenCount} seen, at most ${census.mostPrograms} programs at once`)
  if (load.braked > 0) printRow('', `clients waited ${load.braked} times because too many were alive`)
  printRow('workers', `${crew.started} started, ${chaos.killedWorkers} killed with SIGKILL`)
  printRow('keepers', `${chaos.killedKeepers} killed with SIGKILL, their workers not`)
  printRow('longest alive', census.longestAfterMs === 0 ? 'none seen after its request' : longest)
  printRow('survivors', `${crew.namedSurvivors} named by the guard, ${alive.length} found at the end`)
  printRow('zombies', String(zombies.length))
  printRow('folders', String(folders.length))
}

/** Everything that makes the run fail, with the processes or lines concerned. */
function faultsIn({ crew, census, tally }: Parts, findings: Findings): Fault[] {
  const { leftByRequests, alive, zombies, isProven, descriptors, memory, folders } = findings
  const grown = descriptors.filter(({ before, after }) => after > before)
  const growing = memory.filter(({ verdict }) => verdict === 'grows')
  // A living process that was found explains an open pipe.
  const hidden =
    isProven || alive.length > 0 ? [] : ['a process that /proc does not show holds the pipe open']
  return [
    fault('alive after all requests', leftByRequests.map(describe)),
    fault('alive after all workers', alive.map(describe)),
    fault('zombies', zombies.map(describe)),
    fault('not proven to have ended', hidden),
    fault('alive too long', census.overdue.map(describe)),
    fault('with more descriptors', grown.map(describeAdded)),
    fault(
      'with growing memory',
      growing.map((finding) => `${finding.name}: ${describeMemory(finding)}`)
    ),
    fault('folders left', folders),
    fault('wrong answers', tally.wrong, tally.wrongCount),
    fault('unexpected from workers or keepers', crew.faults)
  ].filter(({ count }) => count > 0)
}

function fault(title: string, lines: readonly string[], count = lines.length): Fault {
  return { title, lines, count }
}

function printRow(name: string, text: string): void {
  say(`  ${name.padEnd(24)} ${text}`)
}

function clean({ requests }: Tally, memory: readonly MemoryFinding[]): string {
  const growth = memory.some(({ verdict }) => verdict === 'not judged') ? 'growth not judged' : 'no growth'
  return `clean: ${requests} requests, nothing alive, no zombie, no descriptor, no folder, ${growth}`
}

function describe({ pid, command, ageMs, mark }: Culprit): string {
  return `${String(pid).padStart(7)}  ${(ageMs / 1_000).toFixed(1).padStart(6)} s  ${mark}  ${command}`
}

function describeAdded({ name, added }: DescriptorFinding): string {
  return `${name}: ${added.join(', ')}`
}

function describeMemory({ early, late, allowed, samples, verdict }: MemoryFinding): string {
  if (early === undefined || late === undefined) return `${samples} samples: too few`
  return `${inMebibytes(early)} and ${inMebibytes(late)}, allowed growth ${inMebibytes(allowed)}: ${verdict}`
}

function inMebibytes(bytes: number): string {
  return (bytes / mebibyte).toFixed(1)
}
