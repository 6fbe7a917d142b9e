/** Runs a sweep: the command `sweep`, without the program around it. */

import type * as Sweep from '../../lib/cli/sweep-command.js'
import type * as PlatformModule from '../../lib/platform/current.js'

// The directory of another copy of the package, for tests that have one.
const dist = process.env.SWEEP_DIST ?? new URL('../../../dist/', import.meta.url).href
const { loadPlatform } = (await import(`${dist}platform/current.js`)) as typeof PlatformModule
await loadPlatform()
const { sweepCommand } = (await import(`${dist}cli/sweep-command.js`)) as typeof Sweep
await sweepCommand().parseAsync()
