/** A thousand subprocesses of a killed worker are dead within 250 ms, in the median of 3 or 10 workers. */

import { test } from 'node:test'
import { assertSoonDead } from '../harness/thousand.js'

test('no subprocess of a thousand is alive 250 ms after their worker was killed', (t) => assertSoonDead(t, 3))
