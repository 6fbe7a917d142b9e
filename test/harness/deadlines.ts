/**
 * Deadlines that pass when the test wants. The timeout of a request starts at its arrival, and a busy machine
 * may need all of a short one to start a command. So a test that needs running processes at the deadline sets
 * a distant one and moves it forward. From then on everything is as with any other deadline. Import this
 * module before the first guard is created.
 */

import type * as DeadlineModule from '../../lib/time/deadlines.js'
import type * as QueueModule from '../../lib/time/expiry-queue.js'
import { compiled } from './compiled.js'
import { eventually } from './expectations.js'

// Not public: loads the compiled file.
const { Deadlines }: typeof DeadlineModule = await compiled('time/deadlines')
const { ExpiryQueue }: typeof QueueModule = await compiled('time/expiry-queue')

/** A timeout that does not pass by itself during a test, in ms. */
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

// How long error handlers and clients may take for the response to a request that was cut short, in ms.
const answerWithinMs = 5_000

export interface Which {
  /** Only deadlines with this timeout. Default: `distantMs`. */
  readonly timeoutMs?: number
  /** How many deadlines must be pending before. Default: 1. */
  readonly count?: number
  /** How far from now they pass, in ms. Default: 0. */
  readonly inMs?: number
}

/** Waits until enough requests and jobs of this process have such a deadline, and lets all of them pass. */
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

/**
 * Lets the time pass that error handlers and clients have for the response to a request that was cut short.
 */
export async function passAnswers(): Promise<void> {
  const isAnswer = (entry: Entry): boolean => entry.queue?.lengthMs === answerWithinMs
  const answers = (): [QueueModule.ExpiryQueue<Entry>, Entry][] =>
    [...queues].flatMap((queue) =>
      [...queue].filter(isAnswer).map((entry): [QueueModule.ExpiryQueue<Entry>, Entry] => [queue, entry])
    )
  await eventually('an answer is under way', () => answers().length > 0)
  for (const [queue, entry] of answers()) queue.addAt(entry, performance.now())
}
