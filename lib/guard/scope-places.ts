/** Where the commands of one scope get their places. */

import type { LaunchPlaces, Place, PlaceClaim } from './launch-places.js'

export class ScopePlaces {
  readonly #places: LaunchPlaces
  readonly #claim: PlaceClaim

  constructor(places: LaunchPlaces, claim: PlaceClaim) {
    this.#places = places
    this.#claim = claim
  }

  /** Takes a place, or one in the queue. Throws `ERR_SUBPROCESS_BUSY` if the queue is full. */
  enter(): Place {
    return this.#places.enter(this.#claim)
  }

  /** Takes a place for a command that cannot wait. Throws `ERR_SUBPROCESS_BUSY` if there is none. */
  takeNow(): Place {
    return this.#places.takeNow(this.#claim)
  }
}
