/**
 * The places of a guard's commands: who may run, and who waits for whom. A place counts in its group (the
 * commands of one route or job) and in the guard. No method takes longer if more commands wait.
 */

import type { CommandLimits } from '../command-limit-options.js'
import { busyError, type ReachedLimit } from './busy-error.js'
import { Linked, LinkedQueue } from './linked-queue.js'
import { QueuePace } from './queue-pace.js'

/** Who asks for a place. */
export interface PlaceClaim {
  /** Identifies the group. */
  readonly group: unknown
  /** What the group is called in an error, such as "the route GET /". */
  readonly name: string
  /** The numbers with which those of the group are compared. */
  readonly limits: CommandLimits
}

/** The commands of one route or job. Invariant: linked if only a place of the guard is missing for the first. */
class Group extends Linked<Group> {
  readonly waiting = new LinkedQueue<Place>()
  readonly pace = new QueuePace()
  running = 0

  /** Whether the first one that waits may run, as far as the group's own number is concerned. */
  get isReady(): boolean {
    const { first } = this.waiting
    return first !== undefined && this.running < first.claim.limits.concurrency
  }
}

/** The place of one command, or its place in the queue. */
export class Place extends Linked<Place> {
  readonly claim: PlaceClaim
  /** Called once when the wait is over, unless `leave()` was called before. Must not throw. */
  onTurn = (): void => {}
  /** @internal */ readonly group: Group
  /** @internal */ state: 'waiting' | 'taken' | 'left' = 'waiting'
  readonly #places: LaunchPlaces

  /** @internal */
  constructor(places: LaunchPlaces, group: Group, claim: PlaceClaim) {
    super()
    this.#places = places
    this.group = group
    this.claim = claim
  }

  get isWaiting(): boolean {
    return this.state === 'waiting'
  }

  /** Gives the place, or the place in the queue, to the next one. Does nothing the second time. */
  leave(): void {
    this.#places.leave(this)
  }
}

export class LaunchPlaces {
  readonly #limits: CommandLimits
  /** The groups in which a command runs or waits. */
  readonly #groups = new Map<unknown, Group>()
  /**
   * The groups whose first one needs only a place of the guard, in the order in which they get one.
   * Invariant: empty while the guard has a free place, except within `#passOn()`.
   */
  readonly #ready = new LinkedQueue<Group>()
  readonly #pace = new QueuePace()
  #running = 0
  #waiting = 0
  #isPassingOn = false

  /** `limits`: those of the guard. */
  constructor(limits: CommandLimits) {
    this.#limits = limits
  }

  /** Whether the guard has a limit. Then every command has a place here. */
  get hasLimit(): boolean {
    return Number.isFinite(this.#limits.concurrency)
  }

  /** How many commands have a place. */
  get running(): number {
    return this.#running
  }

  /** How many commands wait for one. */
  get waiting(): number {
    return this.#waiting
  }

  /** How many groups have a command that runs or waits. */
  get groups(): number {
    return this.#groups.size
  }

  /** Takes a place, or one in the queue. Throws `ERR_SUBPROCESS_BUSY` if the queue is full. */
  enter(claim: PlaceClaim): Place {
    const group = this.#groupOf(claim)
    const place = new Place(this, group, claim)
    if (this.#hasFreePlace(group, claim)) this.#takeAtOnce(place)
    else {
      this.#refuseIfQueueIsFull(group, claim)
      this.#groups.set(claim.group, group)
      group.waiting.push(place)
      this.#waiting++
      this.#update(group)
    }
    return place
  }

  /** Takes a place for a command that cannot wait. Throws `ERR_SUBPROCESS_BUSY` if there is none. */
  takeNow(claim: PlaceClaim): Place {
    const group = this.#groupOf(claim)
    if (!this.#hasFreePlace(group, claim)) throw this.#errorOfNoPlace(group, claim)
    const place = new Place(this, group, claim)
    this.#takeAtOnce(place)
    return place
  }

  /** @internal */
  leave(place: Place): void {
    const { group, state } = place
    if (state === 'left') return
    place.state = 'left'
    if (state === 'waiting') {
      group.waiting.remove(place)
      this.#waiting--
    } else {
      group.running--
      this.#running--
      group.pace.advance()
      this.#pace.advance()
    }
    this.#update(group)
    if (group.running === 0 && group.waiting.size === 0) this.#groups.delete(place.claim.group)
    this.#passOn()
  }

  #groupOf({ group }: PlaceClaim): Group {
    return this.#groups.get(group) ?? new Group()
  }

  /** Whether there is a free place, and nobody who has waited for it before. */
  #hasFreePlace(group: Group, { limits }: PlaceClaim): boolean {
    return !this.#isFull && group.running < limits.concurrency && group.waiting.size === 0
  }

  /** Whether every place of the guard is taken, or is about to go to one that waits. */
  get #isFull(): boolean {
    return this.#running >= this.#limits.concurrency || (this.#ready.size > 0 && this.hasLimit)
  }

  #takeAtOnce(place: Place): void {
    this.#groups.set(place.claim.group, place.group)
    this.#take(place)
    place.group.pace.restart()
    this.#pace.restart()
  }

  #take(place: Place): void {
    place.state = 'taken'
    place.group.running++
    this.#running++
  }

  /** To call when the first one that waits, or the number of those that run, has changed. */
  #update(group: Group): void {
    const isLinked = group.queue !== undefined
    if (group.isReady === isLinked) return
    if (isLinked) this.#ready.remove(group)
    else this.#ready.push(group)
  }

  /** Gives free places to those that wait: to one of each group in turn. */
  #passOn(): void {
    // A turn may end at once, and give its place back from within this loop.
    if (this.#isPassingOn) return
    this.#isPassingOn = true
    try {
      while (this.#running < this.#limits.concurrency) {
        const place = this.#ready.shift()?.waiting.shift()
        if (place === undefined) return
        this.#waiting--
        this.#take(place)
        this.#update(place.group)
        place.onTurn()
      }
    } finally {
      this.#isPassingOn = false
    }
  }

  #refuseIfQueueIsFull(group: Group, { name, limits }: PlaceClaim): void {
    if (group.waiting.size >= limits.queue) {
      const reached: ReachedLimit = { name: 'queue', value: limits.queue, setBy: name }
      throw busyError(reached, group.pace.secondsFor(group.waiting.size || 1))
    }
    if (this.#waiting >= this.#limits.queue) {
      const reached: ReachedLimit = { name: 'queue', value: this.#limits.queue, setBy: 'the server' }
      throw busyError(reached, this.#pace.secondsFor(this.#waiting || 1))
    }
  }

  #errorOfNoPlace(group: Group, claim: PlaceClaim): Error {
    if (this.#isFull) {
      const { concurrency } = this.#limits
      const reached: ReachedLimit = { name: 'concurrency', value: concurrency, setBy: 'the server' }
      return busyError(reached, this.#pace.secondsFor(this.#waiting + 1))
    }
    const { name, limits } = group.waiting.first?.claim ?? claim
    const reached: ReachedLimit = { name: 'concurrency', value: limits.concurrency, setBy: name }
    return busyError(reached, group.pace.secondsFor(group.waiting.size + 1))
  }
}
