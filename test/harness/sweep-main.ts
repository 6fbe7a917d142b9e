/** The entry of a process that sweeps: the command, without the program around it. */

import type * as Sweep from '../../lib/cli/sweep-command.js'

// Where a test has a copy of the package.
const dist = process.env.SWEEP_DIST ?? new URL('../../../dist/', import.meta.url).href
const { sweepCommand } = (await import(`${dist}cli/sweep-command.js`)) as typeof Sweep
await sweepCommand().parseAsync()
