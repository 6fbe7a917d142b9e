/** `subprocess-guard sweep`: ends what dead workers have left, and says how. */

import { Command } from 'commander'
import { OrphanAdopter } from '../containment/orphan-adopter.js'
import { loadLibc, parentOfOrphans, processOf, type ScopeProcess } from '../platform/current.js'
import { findLeft, type LeftProcess } from '../sweep/leftover-processes.js'
import { sweep } from '../sweep/sweep.js'
import { ownRealm, workerIn } from '../wire/mark.js'
import type { EndedProcess } from '../wire/messages.js'
import { printable } from './printable.js'

const graceMs = 2_000

interface SweepOptions {
  readonly dryRun?: true
  readonly json?: true
}

/** A process that was found before anything was done. */
interface Found extends ScopeProcess {
  /** Process id of the dead worker. */
  readonly worker: number | undefined
}

/** The command `sweep`. Its exit status is 1 when processes have survived it. */
export function sweepCommand(): Command {
  return new Command('sweep')
    .description('end the processes that dead workers of this user have left, with their keepers gone too')
    .option('-n, --dry-run', 'only name them')
    .option('--json', 'print a list of objects')
    .action(async (options: SweepOptions, command: Command) => {
      if (process.platform !== 'linux') {
        command.error(`error: it finds processes in /proc, which ${process.platform} has not`)
      }
      try {
        ownRealm()
      } catch (error) {
        command.error(`error: ${(error as Error).message}`)
      }
      const adopter = new OrphanAdopter({ pid: process.pid, findAdopter: parentOfOrphans })
      const found = await lookFor(adopter)
      if (options.dryRun) print(found, options, toEndLine)
      else await sweepAndPrint(found, options, adopter)
    })
}

async function lookFor(adopter: OrphanAdopter): Promise<Found[]> {
  // It may ask for the adopter.
  if (findLeft(adopter).isUnclear) await adopter.settled()
  return findLeft(adopter).processes.map(foundOf)
}

async function sweepAndPrint(
  found: readonly Found[],
  options: SweepOptions,
  adopter: OrphanAdopter
): Promise<void> {
  const libc = await loadLibc()
  const say = (message: string): void => console.error(printable(message))
  const ended = await sweep(libc instanceof Error ? undefined : libc, graceMs, adopter, say)
  const byPid = new Map(found.map((process) => [process.pid, process]))
  print(
    ended.map((process) => ({ ...byPid.get(process.pid), ...process })),
    options,
    endedLine
  )
  if (ended.some(({ ended }) => ended === 'survived')) process.exitCode = 1
}

function print<Item>(items: readonly Item[], { json }: SweepOptions, lineOf: (item: Item) => string): void {
  if (json) console.log(JSON.stringify(items, undefined, 2))
  else console.log(items.length === 0 ? 'nothing to sweep' : items.map(lineOf).join('\n'))
}

function foundOf({ stat, mark }: LeftProcess): Found {
  return { ...processOf(stat), worker: workerIn(mark ?? '')?.pid }
}

function toEndLine(process: Found): string {
  return `would end  ${process.pid}${factsOf(process)}  ${printable(process.command)}`
}

/** What came up only while others were ended has no facts. */
function endedLine(process: EndedProcess & Partial<Found>): string {
  const how = process.ended === 'survived' ? `survived (${process.why})` : `ended by ${process.ended}`
  return `${how}  ${process.pid}${factsOf(process)}  ${printable(process.command)}`
}

function factsOf({ worker, ageMs, memoryBytes }: Partial<Found>): string {
  if (ageMs === undefined || memoryBytes === undefined) return ''
  return `  of worker ${worker}, ${durationOf(ageMs)} old, ${Math.round(memoryBytes / 1_000_000)} MB`
}

function durationOf(ms: number): string {
  const seconds = Math.round(ms / 1_000)
  if (seconds < 120) return `${seconds} s`
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} days`
}
