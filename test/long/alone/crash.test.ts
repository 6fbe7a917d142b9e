/** The same as in `test/alone/crash.test.ts`, in the median of ten workers. */

import { test } from 'node:test'
import { assertSoonDead } from '../../harness/thousand.js'

test('a worker that is killed with a thousand subprocesses leaves none alive 250 ms later, of ten workers', (t) =>
  assertSoonDead(t, 10))
