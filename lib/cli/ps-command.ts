/** `subprocess-guard ps`: shows the guarded workers here, their open scopes and their processes. */

import { userInfo } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { Command, InvalidArgumentError, Option } from 'commander'
import { platform } from '../platform/current.js'
import { listReportedWorkers } from './list-reported-workers.js'
import { listWorkers } from './list-workers.js'
import { formatWorkers } from './ps-table.js'
import type { ShownWorker } from './shown-worker.js'
import { lineStyle, replaceLines, writeLines } from './terminal-output.js'

const maxWatchSeconds = 86_400

interface PsOptions {
  readonly json?: true
  /** In seconds. */
  readonly watch?: number
}

export function psCommand(): Command {
  const watch = new Option('-w, --watch [seconds]', 'refresh at this interval until Ctrl-C')
  return new Command('ps')
    .description('show guarded workers, their open requests, and the processes of each request')
    .option('--json', 'print a JSON array')
    .addOption(watch.preset('2').argParser(parseSeconds))
    .action(ps)
}

async function ps({ json, watch }: PsOptions, command: Command): Promise<void> {
  const why = platform.whyNoProcessIsVisible()
  if (why !== undefined) command.error(`error: ${why}, so no process can be seen`)
  const list = platform.findsProcessesByMark ? listWorkers : listReportedWorkers
  if (watch === undefined) {
    const workers = await list()
    writeLines(json ? [JSON.stringify(workers, null, 2)] : linesFor(workers))
    return
  }
  process.once('SIGINT', () => process.exit(0))
  for (;;) {
    const workers = await list()
    // One line each time, for a program to read.
    if (json) writeLines([JSON.stringify(workers)])
    else replaceLines([`${new Date().toLocaleTimeString()}, every ${watch} s`, '', ...linesFor(workers)])
    await pause(watch * 1_000)
  }
}

function linesFor(workers: readonly ShownWorker[]): string[] {
  if (workers.length > 0) return formatWorkers(workers, lineStyle())
  return [`no guarded worker is visible to user ${user()}`]
}

function user(): string {
  try {
    return userInfo().username
  } catch {
    // In a container the user may have no name.
    return String(process.getuid?.())
  }
}

function parseSeconds(text: string): number {
  const seconds = Number(text)
  if (seconds >= 0.1 && seconds <= maxWatchSeconds) return seconds
  throw new InvalidArgumentError(`give a number of seconds from 0.1 to ${maxWatchSeconds}`)
}
