/** Loaded into the process of a test file before the file: notes what is alive when a test fails. */

import { isMainThread } from 'node:worker_threads'
import { noteFailure } from './failures.js'

if (isMainThread) {
  // Not for what the file forks: these are the runner's flags.
  process.execArgv.length = 0
  const { afterEach } = await import('node:test')
  // Before the test's own `after`, which ends what it has started.
  afterEach((t) => {
    // The types of Node 20 do not have these two.
    const { passed, fullName } = t as unknown as { passed: boolean; fullName: string }
    if (!passed) noteFailure(fullName)
  })
}
