/** Contestants take turns, so that a mood of the machine meets them all alike. */

/**
 * Has each contestant do one thing so many times, and whoever was first in one round is last in the next. `warmUps` rounds
 * come before, of which nothing is kept.
 */
export async function takeTurns<Contestant>(
  contestants: readonly Contestant[],
  rounds: number,
  turn: (contestant: Contestant, round: number, isWarmUp: boolean) => Promise<void>,
  warmUps = 1
): Promise<void> {
  for (let round = -warmUps; round < rounds; round++) {
    const order = round % 2 === 0 ? contestants : contestants.toReversed()
    for (const contestant of order) await turn(contestant, round, round < 0)
  }
}
