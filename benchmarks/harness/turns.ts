/** Contestants take turns, so that disturbances of the machine affect all of them. */

/**
 * Calls `turn` for each contestant in each round, in reverse order in every other round. `warmUps` rounds
 * come first; their samples should be discarded.
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
