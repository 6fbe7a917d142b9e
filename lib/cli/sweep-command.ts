/** `subprocess-guard sweep`: ends the processes that dead workers have left, and prints how each ended. */

import { Command } from 'commander'
import { OrphanAdopter } from '../containment/find-orphan-adopter.js'
import { platform, type ScopeProcess } from '../platform/current.js'
import { findLeftoverProcesses, type LeftoverProcess } from '../sweep/find-leftover-processes.js'
import { sweep } from '../sweep/sweep.js'
import { ownRealm, workerIn } from '../wire/mark.js'
import type { EndedProcess } from '../wire/messages.js'
import { printable } from './printable.js'

const graceMs = 2_000

interface SweepOptions {
  readonly dryRun?: true
  readonly json?: true
}

/** A process that was found before anything was ended. */
interface FoundProcess extends ScopeProcess {
  /** Pid of the dead worker. */
  readonly worker: number | undefined
}

/** The command `sweep`. Its exit status is 1 when there are survivors. */
export function sweepCommand(): Command {
  return new Command('sweep')
    .description('end processes left by dead workers of this user whose keepers are gone, too')
    .option('-n, --dry-run', 'only list the processes')
    .option('--json', 'print a JSON array')
    .action(async (options: SweepOptions, command: Command) => {
      const why = platform.whyUnsupportedSystem()
      if (why !== undefined) command.error(`error: ${why}`)
      try {
        ownRealm()
      } catch (error) {
        command.error(`error: ${(error as Error).message}`)
      }
      if (!platform.findsProcessesByMark) {
        // With job objects the system ends them itself.
        console.error(
          'this system does not show which processes a dead worker has left: only directories are removed'
        )
      }
      const adopter = new OrphanAdopter({ pid: process.pid, findAdopter: platform.findOrphanAdopter })
      const found = await findAll(adopter)
      if (options.dryRun) print(found, options, dryRunLine)
      else await sweepAndPrint(found, options, adopter)
    })
}

async function findAll(adopter: OrphanAdopter): Promise<FoundProcess[]> {
  // The first scan may start the search for the adopter.
  if (findLeftoverProcesses(adopter).isIncomplete) await adopter.settled()
  return findLeftoverProcesses(adopter).processes.map(describe)
}

async function sweepAndPrint(
  found: readonly FoundProcess[],
  options: SweepOptions,
  adopter: OrphanAdopter
): Promise<void> {
  const native = await platform.loadNativeCalls()
  const warn = (message: string): void => console.error(printable(message))
  const ended = await sweep(native instanceof Error ? undefined : native, graceMs, adopter, warn)
  const byPid = new Map(found.map((process) => [process.pid, process]))
  print(
    ended.map((process) => ({ ...byPid.get(process.pid), ...process })),
    options,
    endedLine
  )
  if (ended.some(({ ended }) => ended === 'survived')) process.exitCode = 1
}

function print<Item>(items: readonly Item[], { json }: SweepOptions, lineage: (item: Item) => string): void {
  if (json) console.log(JSON.stringify(items, undefined, 2))
  else console.log(items.length === 0 ? 'nothing to sweep' : items.map(lineage).join('\n'))
}

function describe({ stat, mark }: LeftoverProcess): FoundProcess {
  return { ...platform.describeProcess(stat), worker: workerIn(mark ?? '')?.pid }
}

function dryRunLine(process: FoundProcess): string {
  return `would end  ${process.pid}${factsOf(process)}  ${printable(process.command)}`
}

/** A process that appeared during the sweep has no facts. */
function endedLine(process: EndedProcess & Partial<FoundProcess>): string {
  const how = process.ended === 'survived' ? `survived (${process.why})` : `ended by ${process.ended}`
  return `${how}  ${process.pid}${factsOf(process)}  ${printable(process.command)}`
}

function factsOf({ worker, ageMs, memoryBytes }: Partial<FoundProcess>): string {
  if (ageMs === undefined || memoryBytes === undefined) return ''
  return `  of worker ${worker}, ${formatAge(ageMs)} old, ${Math.round(memoryBytes / 1_000_000)} MB`
}

function formatAge(ms: number): string {
  const seconds = Math.round(ms / 1_000)
  if (seconds < 120) return `${seconds} s`
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} days`
}
