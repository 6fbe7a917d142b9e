#!/usr/bin/env node
/** Entry of the command `subprocess-guard`, with its subcommands `ps`, `sweep` and `doctor`. */

import { Command } from 'commander'
import { loadPlatform } from '../platform/current.js'
import { version } from '../version.js'
import { doctorCommand } from './doctor-command.js'
import { psCommand } from './ps-command.js'
import { sweepCommand } from './sweep-command.js'

// EPIPE: the reader has closed the pipe, as in `subprocess-guard ps | head`.
process.stdout.on('error', ({ code }: NodeJS.ErrnoException) =>
  process.exit(code === 'EPIPE' ? undefined : 1)
)

await loadPlatform()
await new Command('subprocess-guard')
  .description('Shows the subprocesses of guarded workers, ends leftovers, and checks this machine.')
  .version(version)
  .addCommand(psCommand())
  .addCommand(sweepCommand())
  .addCommand(doctorCommand())
  .parseAsync()
