/** `subprocess-guard ps`: the guarded workers of this machine, their open scopes, and what these run. */

import { userInfo } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { Command, InvalidArgumentError, Option } from 'commander'
import { whyNoProcessIsVisible } from '../platform/current.js'
import { type ShownWorker, workersHere } from './list-workers.js'
import { linesOf } from './ps-table.js'
import { lettering, rewrite, write } from './terminal-output.js'

const longestPauseSeconds = 86_400

interface PsOptions {
  readonly json?: true
  /** In seconds. */
  readonly watch?: number
}

export function psCommand(): Command {
  const watch = new Option('-w, --watch [seconds]', 'show it again and again, until Ctrl-C')
  return new Command('ps')
    .description('show guarded workers, their open requests, and the processes of these')
    .option('--json', 'as an array of objects')
    .addOption(watch.preset('2').argParser(secondsOf))
    .action(ps)
}

async function ps({ json, watch }: PsOptions, command: Command): Promise<void> {
  const why = whyNoProcessIsVisible()
  if (why !== undefined) command.error(`error: ${why}, so no process can be seen`)
  if (watch === undefined) {
    const workers = await workersHere()
    write(json ? [JSON.stringify(workers, null, 2)] : textOf(workers))
    return
  }
  process.once('SIGINT', () => process.exit(0))
  for (;;) {
    const workers = await workersHere()
    // One line for each look, for a program to read.
    if (json) write([JSON.stringify(workers)])
    else rewrite([`${new Date().toLocaleTimeString()}, every ${watch} s`, '', ...textOf(workers)])
    await pause(watch * 1_000)
  }
}

function textOf(workers: readonly ShownWorker[]): string[] {
  if (workers.length > 0) return linesOf(workers, lettering())
  return [`no guarded worker runs here (as far as user ${user()} can see)`]
}

function user(): string {
  try {
    return userInfo().username
  } catch {
    // A container may have no name for it.
    return String(process.getuid?.())
  }
}

function secondsOf(text: string): number {
  const seconds = Number(text)
  if (seconds >= 0.1 && seconds <= longestPauseSeconds) return seconds
  throw new InvalidArgumentError(`give a number of seconds from 0.1 to ${longestPauseSeconds}`)
}
