#!/usr/bin/env node
/** Entry of the command `subprocess-guard`: what guarded workers run here, and what the machine allows. */

import { Command } from 'commander'
import { version } from '../version.js'
import { doctorCommand } from './doctor-command.js'
import { psCommand } from './ps-command.js'
import { sweepCommand } from './sweep-command.js'

// Whoever reads has read enough: `| head`.
process.stdout.on('error', ({ code }: NodeJS.ErrnoException) =>
  process.exit(code === 'EPIPE' ? undefined : 1)
)

await new Command('subprocess-guard')
  .description('What the guards of this machine run, and what this machine allows them.')
  .version(version)
  .addCommand(psCommand())
  .addCommand(sweepCommand())
  .addCommand(doctorCommand())
  .parseAsync()
