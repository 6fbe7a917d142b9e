/**
 * Loaded into an example before its own code. Makes its timeouts so long that they do not pass by themselves;
 * at SIGUSR2, deadlines with a timeout of `PASSES_MS` pass. A busy machine may need all of a short timeout to
 * start the command that the timeout is to end.
 */

import type * as DeadlineModule from '../../lib/time/deadlines.js'
import { compiled } from './compiled.js'
import { passDeadlines } from './deadlines.js'

const { Deadlines }: typeof DeadlineModule = await compiled('time/deadlines')

const factor = 1_000
const { start, startAt } = Deadlines.prototype
Deadlines.prototype.start = function (entry, lengthMs) {
  start.call(this, entry, lengthMs * factor)
}
Deadlines.prototype.startAt = function (entry, _deadlineAt, lengthMs) {
  startAt.call(this, entry, performance.now() + lengthMs * factor, lengthMs * factor)
}

process.on('SIGUSR2', () => void passDeadlines({ timeoutMs: Number(process.env.PASSES_MS) * factor }))
