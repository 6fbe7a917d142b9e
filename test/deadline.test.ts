/** Expiry queues, tested with a fake clock. */

import assert from 'node:assert/strict'
import { suite, type TestContext, test } from 'node:test'
import type * as Deadline from '../lib/time/expiry-queue.js'
import { compiled } from './harness/compiled.js'

// Import the compiled file itself, which the package does not export.
const { Expiring, ExpiryQueue }: typeof Deadline = await compiled('time/expiry-queue')

class Entry extends Expiring<Entry> {
  readonly name: string
  readonly said: string[]
  isOver = false

  constructor(name: string, said: string[]) {
    super()
    this.name = name
    this.said = said
  }

  override expire(): void {
    this.said.push(`${this.name} expired`)
  }

  override onDropped(): void {
    this.said.push(`${this.name} dropped`)
  }
}

suite('an expiry queue', () => {
  /** Stops the clock, and returns a function that advances it by a number of ms. */
  const fakeClock = ({ mock }: TestContext) => {
    let now = 0
    mock.timers.enable({ apis: ['setTimeout'] })
    mock.method(performance, 'now', () => now)
    return (ms: number) => {
      for (let i = 0; i < ms; i++) {
        now++
        mock.timers.tick(1)
      }
    }
  }

  test('expires each entry at its own time, in order', (t) => {
    const tick = fakeClock(t)
    const said: string[] = []
    const queue = new ExpiryQueue<Entry>(100)
    queue.add(new Entry('first', said))
    tick(50)
    queue.add(new Entry('second', said))
    tick(49)
    assert.deepEqual(said, [])
    tick(2)
    assert.deepEqual(said, ['first expired'])
    tick(50)
    assert.deepEqual(said, ['first expired', 'second expired'])
  })

  test('gives a renewed entry its full time, and keeps the order', (t) => {
    const tick = fakeClock(t)
    const said: string[] = []
    const queue = new ExpiryQueue<Entry>(100)
    const renewed = new Entry('renewed', said)
    queue.add(renewed)
    queue.add(new Entry('other', said))
    tick(60)
    queue.add(renewed)
    tick(45)
    assert.deepEqual(said, ['other expired'])
    tick(60)
    assert.deepEqual(said, ['other expired', 'renewed expired'])
  })

  test('removes an entry that is added to another queue', (t) => {
    const tick = fakeClock(t)
    const said: string[] = []
    const [short, long] = [new ExpiryQueue<Entry>(10), new ExpiryQueue<Entry>(1000)]
    const entry = new Entry('moved', said)
    short.add(entry)
    long.add(entry)
    tick(500)
    assert.deepEqual(said, [])
    assert.deepEqual([...short], [])
    assert.deepEqual([...long], [entry])
    tick(501)
    assert.deepEqual(said, ['moved expired'])
  })

  test('stays intact when an expiring entry moves its neighbour to another queue', (t) => {
    const tick = fakeClock(t)
    const said: string[] = []
    const [short, long] = [new ExpiryQueue<Entry>(10), new ExpiryQueue<Entry>(100)]
    const moved = new Entry('moved', said)
    const mover = new Entry('mover', said)
    mover.expire = () => {
      said.push('mover expired')
      long.add(moved)
    }
    const later = new Entry('later', said)
    for (const entry of [mover, moved, new Entry('third', said)]) short.add(entry)
    long.add(later)
    tick(10)
    assert.deepEqual(said, ['mover expired', 'third expired'])
    assert.deepEqual([[...short], [...long]], [[], [later, moved]])
    tick(100)
    assert.deepEqual(said.slice(2), ['later expired', 'moved expired'])
  })

  test('releases a finished entry within a second, however long its timeout', (t) => {
    const tick = fakeClock(t)
    for (const length of [60_000, Number.POSITIVE_INFINITY]) {
      const said: string[] = []
      const queue = new ExpiryQueue<Entry>(length)
      const [ended, open] = [new Entry('ended', said), new Entry('open', said)]
      queue.add(open)
      queue.add(ended)
      ended.isOver = true
      assert.deepEqual([...queue], [open])
      tick(1_001)
      assert.deepEqual(said, ['ended dropped'])
      open.isOver = true
      tick(1_001)
    }
  })
})
