/** A thousand subprocesses of a worker that is killed are dead within 250 ms, in the median of three workers, or else of ten. */

import { test } from 'node:test'
import { assertSoonDead } from '../harness/thousand.js'

test('a worker that is killed with a thousand subprocesses leaves none alive 250 ms later', (t) =>
  assertSoonDead(t, 3))
