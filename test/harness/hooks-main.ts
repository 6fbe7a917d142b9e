/**
 * A process like the keeper: a subreaper whose census scans all the time. It runs one hook, and prints the
 * result and which orphans the census found meanwhile.
 */

import { spawn } from 'node:child_process'
import type * as Released from '../../lib/containment/released-marks.js'
import type * as Members from '../../lib/containment/scope-record.js'
import type * as Adoption from '../../lib/containment/subreaper-census.js'
import type * as HooksModule from '../../lib/keeper/hook-modules.js'
import type * as PlatformModule from '../../lib/platform/current.js'
import { compiled, keeperFile } from './compiled.js'
import { info } from './worker-info.js'

// Not public: loads the compiled files.
const { SubreaperCensus }: typeof Adoption = await compiled('containment/subreaper-census')
const { ScopeRecord }: typeof Members = await compiled('containment/scope-record')
const { ReleasedMarks }: typeof Released = await compiled('containment/released-marks')
const { HookModules }: typeof HooksModule = await compiled('keeper/hook-modules')
const { platform }: typeof PlatformModule = await compiled('platform/current')

const what = process.argv[2] as string
const native = await platform.loadNativeCalls()
if (native instanceof Error || !native.becomeOrphanAdopter()) throw new Error('this process is no subreaper')
const strays = new ScopeRecord(0, 'boot.0.0.0/0', { graceMs: 0, killSignal: 'SIGTERM' }, native)
const census = new SubreaperCensus({ native, strays, releasedMarks: new ReleasedMarks(), onStrays: () => {} })

const found = new Set<number>()
const scan = (): void => {
  for (const { stat } of census.members(strays)) if (stat.alive) found.add(stat.pid)
  setImmediate(scan)
}
scan()

const hooks = new HookModules(keeperFile, 10_000)
let failures: unknown
if (what === 'a plain child') {
  // The negative control: a child that the census was not told of counts as an orphan.
  const child = spawn('sleep', ['1000'])
  while (found.size === 0) await new Promise((resolve) => setImmediate(resolve))
  child.kill('SIGKILL')
} else {
  await hooks.add(what)
  failures = await hooks.run('workerExit', info)
  // What the hook left is our child now that its parent is gone. The census scans once per turn: wait some.
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
}
console.log(JSON.stringify({ failures, found: [...found] }))
process.exit()
