/** The places of a guard, without processes: who runs, who waits, who is next, and who is refused. */

import assert from 'node:assert/strict'
import { suite, type TestContext, test } from 'node:test'
import fc from 'fast-check'
import type { SubprocessError } from 'fastify-subprocess-guard'
import type * as LaunchPlacesModule from '../lib/guard/launch-places.js'
import { compiled } from './harness/compiled.js'

const { LaunchPlaces }: typeof LaunchPlacesModule = await compiled('guard/launch-places')

type Place = LaunchPlacesModule.Place

const many = Number.POSITIVE_INFINITY

/** Commands of several groups at the places of one guard. */
class Commands {
  readonly places: LaunchPlacesModule.LaunchPlaces
  readonly #own: Record<string, { concurrency: number; queue: number }>
  /** The names in the order of their starts. */
  readonly started: string[] = []
  readonly byName = new Map<string, Place>()

  constructor(concurrency: number, queue = many, own: Record<string, object> = {}) {
    this.places = new LaunchPlaces({ concurrency, queue })
    this.#own = own as never
  }

  claimOf(group: string): LaunchPlacesModule.PlaceClaim {
    const limits = { concurrency: many, queue: many, ...this.#own[group] }
    return { group, name: `the route ${group}`, limits }
  }

  /** The group is the first letter of the name. */
  enter(name: string): Place {
    const place = this.places.enter(this.claimOf(name[0] as string))
    this.byName.set(name, place)
    if (place.isWaiting) place.onTurn = () => void this.started.push(name)
    else this.started.push(name)
    return place
  }

  enterAll(names: string): void {
    for (const name of names.split(' ')) this.enter(name)
  }

  leave(...names: string[]): void {
    for (const name of names) this.byName.get(name)?.leave()
  }
}

/** The error of a call. */
function refusal(call: () => unknown): SubprocessError {
  try {
    call()
  } catch (error) {
    return error as SubprocessError
  }
  return assert.fail('it was not refused')
}

/** Stops the clock, and returns a function that advances it by a number of ms. */
function fakeClock({ mock }: TestContext): (ms: number) => void {
  let now = 0
  mock.method(performance, 'now', () => now)
  return (ms) => {
    now += ms
  }
}

suite('the places of a guard', () => {
  test('are given to the groups in turn, and within a group in the order of the calls', () => {
    const commands = new Commands(1)
    commands.enterAll('a1 a2 a3 a4 b1 b2 c1')
    commands.leave('a1', 'a2', 'b1', 'c1', 'a3', 'b2', 'a4')
    assert.deepEqual(commands.started, ['a1', 'a2', 'b1', 'c1', 'a3', 'b2', 'a4'])
    assert.deepEqual([commands.places.running, commands.places.waiting, commands.places.groups], [0, 0, 0])
  })

  test('pass over a group whose own places are taken', () => {
    const commands = new Commands(2, many, { a: { concurrency: 1 } })
    commands.enterAll('a1 a2 a3 b1 b2')
    assert.deepEqual(commands.started, ['a1', 'b1'])
    commands.leave('b1')
    assert.deepEqual(commands.started, ['a1', 'b1', 'b2'])
    commands.leave('a1')
    assert.deepEqual(commands.started, ['a1', 'b1', 'b2', 'a2'])
  })

  test('are not given to a newcomer while another one of its group waits', () => {
    const commands = new Commands(2, many, { a: { concurrency: 1 } })
    commands.enterAll('a1 a2')
    assert.equal(refusal(() => commands.places.takeNow(commands.claimOf('a'))).code, 'ERR_SUBPROCESS_BUSY')
    commands.places.takeNow(commands.claimOf('b')).leave()
    assert.deepEqual(commands.started, ['a1'])
  })

  test('go to the next one when one that waits leaves', () => {
    const commands = new Commands(1)
    commands.enterAll('a1 a2 a3')
    commands.leave('a2', 'a1')
    assert.deepEqual(commands.started, ['a1', 'a3'])
  })

  test('are given to the second of a group when the first one leaves, which allowed fewer to run', () => {
    const commands = new Commands(2)
    commands.enter('a1')
    const strict = { ...commands.claimOf('a'), limits: { concurrency: 1, queue: many } }
    const first = commands.places.enter(strict)
    commands.enter('a2')
    assert.deepEqual(commands.started, ['a1'])
    first.leave()
    assert.deepEqual(commands.started, ['a1', 'a2'])
  })

  test('are passed on without recursion when each turn ends at once', () => {
    const commands = new Commands(1)
    const first = commands.enter('a')
    let ended = 0
    for (let count = 0; count < 100_000; count++) {
      const place = commands.places.enter(commands.claimOf('a'))
      place.onTurn = () => {
        ended++
        place.leave()
      }
    }
    first.leave()
    assert.equal(ended, 100_000)
    assert.equal(commands.places.groups, 0)
  })

  test('take the same time however many wait', () => {
    // With work in proportion to the queue, this would be 10^10 steps.
    const commands = new Commands(1)
    const places = Array.from({ length: 100_000 }, () => commands.places.enter(commands.claimOf('a')))
    for (const place of places.toReversed()) place.leave()
    assert.equal(commands.places.groups, 0)
  })

  test('are counted down once if a command leaves twice', () => {
    const commands = new Commands(1)
    commands.enterAll('a1 a2 a3')
    commands.leave('a1', 'a1', 'a1')
    assert.deepEqual([commands.started, commands.places.running], [['a1', 'a2'], 1])
  })
})

suite('a refusal', () => {
  test('names the limit, its value, and who has set it', () => {
    const commands = new Commands(1, 3, { a: { queue: 1 }, b: { concurrency: 1 } })
    commands.enterAll('c1 a1')
    assert.match(refusal(() => commands.enter('a2')).message, /: limits\.queue of the route a is 1,/)
    commands.enterAll('c2 c3')
    assert.match(refusal(() => commands.enter('c4')).message, /: limits\.queue of the server is 3,/)
    const direct = (group: string) => refusal(() => commands.places.takeNow(commands.claimOf(group)))
    assert.match(
      direct('b').message,
      /: limits\.concurrency of the server is 1, .* direct launch cannot wait/
    )
    const other = new Commands(5, many, { b: { concurrency: 1 } })
    other.enter('b1')
    const refused = refusal(() => other.places.takeNow(other.claimOf('b')))
    assert.match(refused.message, /: limits\.concurrency of the route b is 1, /)
  })

  test('changes nothing', () => {
    const commands = new Commands(1, 0)
    const place = commands.enter('a1')
    refusal(() => commands.enter('b1'))
    refusal(() => commands.places.takeNow(commands.claimOf('c')))
    assert.deepEqual([commands.places.running, commands.places.waiting, commands.places.groups], [1, 0, 1])
    place.leave()
    commands.enter('b2')
    assert.deepEqual(commands.started, ['a1', 'b2'])
  })

  const retryAfter = (commands: Commands, name: string) => refusal(() => commands.enter(name)).retryAfter

  test('asks to retry after the time that the queue will take at its latest pace', (t) => {
    const advance = fakeClock(t)
    const commands = new Commands(1, 4)
    commands.enterAll('a1 a2 a3 a4 a5')
    advance(10)
    assert.equal(retryAfter(commands, 'a6'), 1)
    advance(2_990)
    commands.leave('a1')
    commands.enter('a6')
    assert.equal(retryAfter(commands, 'a7'), 12, '4 wait, and a place becomes free every 3 s')
    for (const name of ['a2', 'a3', 'a4', 'a5', 'a6']) {
      advance(100)
      commands.leave(name)
    }
    commands.enterAll('b1 b2 b3 b4 b5')
    const faster = retryAfter(commands, 'b6') as number
    assert.ok(faster < 12 && faster > 1, `${faster} s`)
  })

  test('does not count the time in which nobody waited', (t) => {
    const advance = fakeClock(t)
    const commands = new Commands(1, 1)
    for (let hour = 0; hour < 5; hour++) {
      const place = commands.enter('a')
      advance(500)
      place.leave()
      advance(3_600_000)
    }
    commands.enterAll('a1 a2')
    assert.equal(retryAfter(commands, 'a3'), 1)
  })

  test('asks to retry later, the longer no place becomes free', (t) => {
    const advance = fakeClock(t)
    const commands = new Commands(1, 0)
    commands.enter('a1')
    advance(20_000)
    const { retryAfter, headers } = refusal(() => commands.enter('a2'))
    assert.deepEqual([retryAfter, headers], [20, { 'retry-after': '20' }])
  })
})

/** What happens next: a command of a group comes, by the keeper or directly, or one of those that are there leaves. */
const step = fc.oneof(
  fc.record({ type: fc.constantFrom('enter', 'direct'), group: fc.constantFrom('a', 'b', 'c') }),
  fc.record({ type: fc.constant('leave'), which: fc.nat() })
)
const limit = fc.oneof(fc.constant(many), fc.integer({ min: 1, max: 4 }))
const queue = fc.oneof(fc.constant(many), fc.integer({ min: 0, max: 5 }))
const own = fc.record({ concurrency: limit, queue })

interface Present {
  readonly group: string
  readonly number: number
  readonly place: Place
}

/** Plays a sequence against the laws. */
class Model {
  readonly #server: { concurrency: number; queue: number }
  readonly #own: Record<string, { concurrency: number; queue: number }>
  readonly #commands: Commands
  #present: Present[] = []
  readonly #lastStarted: Record<string, number> = {}
  #count = 0

  constructor(server: { concurrency: number; queue: number }, own: Record<string, typeof server>) {
    this.#server = server
    this.#own = own
    this.#commands = new Commands(server.concurrency, server.queue, own)
  }

  #in(state: 'waiting' | 'taken', group?: string): Present[] {
    return this.#present.filter(
      (one) => one.place.state === state && (group === undefined || one.group === group)
    )
  }

  #concurrencyOf(group: string): number {
    return this.#own[group]?.concurrency ?? many
  }

  come(group: string, isDirect: boolean): void {
    const { places } = this.#commands
    const number = ++this.#count
    const claim = this.#commands.claimOf(group)
    const before = [places.running, places.waiting, places.groups]
    try {
      const place = isDirect ? places.takeNow(claim) : places.enter(claim)
      if (place.isWaiting) place.onTurn = () => this.#started(group, number)
      else this.#started(group, number)
      this.#present.push({ group, number, place })
    } catch (error) {
      assert.equal((error as SubprocessError).code, 'ERR_SUBPROCESS_BUSY')
      assert.deepEqual([places.running, places.waiting, places.groups], before)
      const isFull =
        this.#in('taken').length >= this.#server.concurrency ||
        this.#in('taken', group).length >= this.#concurrencyOf(group) ||
        this.#in('waiting', group).length > 0
      assert.ok(isFull, 'refused although there was a place')
      if (isDirect) return
      const isQueueFull =
        this.#in('waiting').length >= this.#server.queue ||
        this.#in('waiting', group).length >= (this.#own[group]?.queue ?? many)
      assert.ok(isQueueFull, 'refused although it could have waited')
    }
  }

  leave(which: number): void {
    const one = this.#present[which % (this.#present.length || 1)]
    if (one === undefined) return
    this.#present = this.#present.filter((other) => other !== one)
    one.place.leave()
  }

  leaveAll(): void {
    while (this.#present.length > 0) this.leave(0)
    const { running, waiting, groups } = this.#commands.places
    assert.deepEqual([running, waiting, groups], [0, 0, 0])
  }

  #started(group: string, number: number): void {
    assert.ok(number > (this.#lastStarted[group] ?? 0), 'not in the order of the calls')
    this.#lastStarted[group] = number
  }

  check(): void {
    const { places } = this.#commands
    const [running, waiting] = [this.#in('taken'), this.#in('waiting')]
    assert.deepEqual([places.running, places.waiting], [running.length, waiting.length])
    assert.ok(running.length <= this.#server.concurrency)
    assert.ok(waiting.length <= this.#server.queue)
    for (const [group, { concurrency, queue }] of Object.entries(this.#own)) {
      assert.ok(this.#in('taken', group).length <= concurrency)
      assert.ok(this.#in('waiting', group).length <= queue)
      const couldRun =
        running.length < this.#server.concurrency && this.#in('taken', group).length < concurrency
      assert.ok(!(couldRun && this.#in('waiting', group).length > 0), 'a place is free, and somebody waits')
    }
  }
}

test('in any sequence, no limit is exceeded, no place stays free while somebody waits, and nothing is left', () => {
  const server = fc.record({ concurrency: limit, queue })
  const groups = fc.record({ a: own, b: own, c: own })
  fc.assert(
    fc.property(server, groups, fc.array(step, { maxLength: 60 }), (limits, own, steps) => {
      const model = new Model(limits, own)
      for (const one of steps) {
        if ('which' in one) model.leave(one.which)
        else model.come(one.group, one.type === 'direct')
        model.check()
      }
      model.leaveAll()
    }),
    { numRuns: 1_000 }
  )
})

test('no group waits for longer than one turn of each other group', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 10, maxLength: 60 }), (names) => {
      const commands = new Commands(1)
      const first = commands.enter('x')
      for (const [index, group] of names.entries()) commands.enter(`${group}${index}`)
      first.leave()
      for (let next = 1; next < commands.started.length; next++)
        commands.leave(commands.started[next] as string)
      const order = commands.started.slice(1).map((name) => name[0] as string)
      assert.equal(order.length, names.length)
      for (const group of new Set(names)) {
        const turns = order.flatMap((one, index) => (one === group ? [index] : []))
        const gaps = turns.map((turn, index) => turn - (turns[index - 1] ?? -1))
        assert.ok(Math.max(...gaps) <= 4, `${group} in ${order}`)
      }
    })
  )
})
