/**
 * Deadlines that pass when the test says so. A short timeout runs from the arrival of a request, and a busy machine may need
 * all of it to start a command; so a test that wants processes at the deadline sets a distant one and brings it forward.
 * From then on everything is as with any other deadline. Import it before the first guard is made.
 */

import type * as DeadlineModule from '../../lib/time/deadlines.js'
import type * as QueueModule from '../../lib/time/expiry-queue.js'
import { compiled } from './compiled.js'
import { eventually } from './expectations.js'

// Not public: the compiled file itself.
const { Deadlines }: typeof DeadlineModule = await compiled('time/deadlines')
const { ExpiryQueue }: typeof QueueModule = await compiled('time/expiry-queue')

/** A timeout that never passes by itself while a test runs, in ms. */
export const distantMs = 1_000_000

interface Entry extends QueueModule.Expiring<Entry> {}

const all = new Set<DeadlineModule.Deadlines<Entry>>()
const { start } = Deadlines.prototype
Deadlines.prototype.start = function (this: DeadlineModule.Deadlines<Entry>, entry: Entry, lengthMs: number) {
  all.add(this)
  start.call(this as never, entry as never, lengthMs)
} as never

const queues = new Set<QueueModule.ExpiryQueue<Entry>>()
const { add } = ExpiryQueue.prototype
ExpiryQueue.prototype.add = function (this: QueueModule.ExpiryQueue<Entry>, entry: Entry) {
  queues.add(this)
  add.call(this as never, entry as never)
} as never

// How long the answer to a request that was cut short may take, in ms.
const answerWithinMs = 5_000

export interface Which {
  /** Only those that have this timeout. Default: `distantMs`. */
  readonly timeoutMs?: number
  /** How many must be under way before. Default: 1. */
  readonly count?: number
  /** How far from now they are to pass. Default: 0. */
  readonly inMs?: number
}

/** Lets the deadlines of what is under way in this process pass; waits for requests and jobs to be under way first. */
export async function passDeadlines({
  timeoutMs = distantMs,
  count = 1,
  inMs = 0
}: Which = {}): Promise<void> {
  const underWay = (): [DeadlineModule.Deadlines<Entry>, Entry][] =>
    [...all].flatMap((deadlines) =>
      [...deadlines]
        .filter((entry) => entry.queue?.lengthMs === timeoutMs)
        .map((entry): [DeadlineModule.Deadlines<Entry>, Entry] => [deadlines, entry])
    )
  await eventually(`${count} deadlines are under way`, () => underWay().length >= count)
  const deadlineAt = performance.now() + inMs
  for (const [deadlines, entry] of underWay()) deadlines.extend(entry, deadlineAt - entry.deadlineAt)
}

/** Lets the time pass that error handlers and clients have for the answer to a request that was cut short. */
export async function passAnswers(): Promise<void> {
  const isAnswer = (entry: Entry): boolean => entry.queue?.lengthMs === answerWithinMs
  const answers = (): [QueueModule.ExpiryQueue<Entry>, Entry][] =>
    [...queues].flatMap((queue) =>
      [...queue].filter(isAnswer).map((entry): [QueueModule.ExpiryQueue<Entry>, Entry] => [queue, entry])
    )
  await eventually('an answer is under way', () => answers().length > 0)
  for (const [queue, entry] of answers()) queue.addAt(entry, performance.now())
}
