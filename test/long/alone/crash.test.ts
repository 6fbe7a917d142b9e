/** The test of `test/alone/crash.test.ts`, for the median of ten workers. */

import { test } from 'node:test'
import { assertSoonDead } from '../../harness/thousand.js'

test('a killed worker with a thousand subprocesses leaves none alive 250 ms later, in the median of ten workers', (t) =>
  assertSoonDead(t, 10))
