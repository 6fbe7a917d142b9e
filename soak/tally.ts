/** Counts how requests ended, and keeps the wrong outcomes. */

import type { Ending } from './endings.js'
import type { Outcome } from './outcome.js'

/** What happened to the worker of a request while the request ran. */
export type Disturbance = 'worker killed' | 'keeper killed' | undefined

const mostWrongKept = 20
const longestBody = 120

export class Tally {
  /** By ending, then by outcome. */
  readonly counts = new Map<string, Map<string, number>>()
  readonly wrong: string[] = []
  requests = 0
  wrongCount = 0

  count(ending: Ending, outcome: Outcome, disturbance: Disturbance, request: number): void {
    this.requests++
    const isRight = ending.accepts(outcome)
    // A request whose worker was killed may fail in any way, but must not get the complete response of
    // another request.
    const isExcused = !isRight && disturbance !== undefined && hasFailed(outcome, disturbance)
    const seen = nameOf(outcome)
    const counted = isRight ? seen : isExcused ? `${seen} (${disturbance})` : `WRONG ${seen}`
    const byOutcome = this.counts.get(ending.name) ?? new Map<string, number>()
    this.counts.set(ending.name, byOutcome.set(counted, (byOutcome.get(counted) ?? 0) + 1))
    if (isRight || isExcused) return
    this.wrongCount++
    if (this.wrong.length < mostWrongKept)
      this.wrong.push(`request ${request}, ${ending.name}: ${describe(outcome)}`)
  }
}

/** A worker whose keeper was killed must answer as the README says. Its connections are not reset. */
function hasFailed(outcome: Outcome, disturbance: Disturbance): boolean {
  if (outcome.kind === 'failed') return disturbance === 'worker killed'
  if (outcome.kind !== 'answered') return false
  return outcome.isCut || outcome.status === 503 || (disturbance === 'worker killed' && outcome.status > 500)
}

function nameOf(outcome: Outcome): string {
  if (outcome.kind === 'left') return 'left'
  if (outcome.kind === 'failed') return outcome.code
  const [code] = /ERR_SUBPROCESS_\w+/.exec(outcome.body) ?? []
  const cut = outcome.isCut ? ' and cut' : ''
  return `${outcome.status}${cut}${code === undefined ? '' : ` ${code.replace('ERR_SUBPROCESS_', '')}`}`
}

function describe(outcome: Outcome): string {
  if (outcome.kind !== 'answered') return nameOf(outcome)
  return `${nameOf(outcome)}: ${JSON.stringify(outcome.body.slice(0, longestBody))}`
}
