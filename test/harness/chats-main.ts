/**
 * Runs a hook that writes a lot to the standard output of this process. Prints the result to standard error.
 */

import { write } from 'node:fs'
import type * as HooksModule from '../../lib/keeper/hook-modules.js'
import { compiled, keeperFile } from './compiled.js'
import { info } from './worker-info.js'

const { HookModules }: typeof HooksModule = await compiled('keeper/hook-modules')
const [url, hookMs] = process.argv.slice(2)
const hooks = new HookModules(keeperFile, Number(hookMs))
await hooks.add(url as string)
let turns = 0
setInterval(() => turns++, 10)
const failures = await hooks.run('workerExit', info)
write(2, `${JSON.stringify({ failures, turns })}\n`, () => process.exit())
