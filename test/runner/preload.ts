/**
 * Loaded into the process of a test file before the file. Records which
 * test runs, and what is alive when one fails.
 */

import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isMainThread } from 'node:worker_threads'
import { noteFailure } from './failures.js'
import { lastBegunFile } from './result.js'

if (isMainThread) {
  // The flags are the runner's: processes that the file forks must not inherit them.
  process.execArgv.length = 0
  const { afterEach, beforeEach } = await import('node:test')
  const path = join(tmpdir(), '..', lastBegunFile)
  beforeEach(({ name }) => writeFileSync(path, name))
  // Runs before the test's own `after`, which ends what the test has started.
  afterEach((t) => {
    // The types of Node 20 lack these two.
    const { passed, fullName } = t as unknown as { passed: boolean; fullName: string }
    if (!passed) noteFailure(fullName)
  })
}
