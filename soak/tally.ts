/** Counts how requests ended, and keeps the ends that are wrong. */

import type { Outcome } from './client.js'
import type { Ending } from './endings.js'

/** What happened to the request's worker while it ran. */
export type Disturbance = 'worker killed' | 'keeper killed' | undefined

const mostWrongKept = 20
const longestBody = 120

export class Tally {
  /** By ending, and by what came of it. */
  readonly counts = new Map<string, Map<string, number>>()
  readonly wrong: string[] = []
  requests = 0
  wrongCount = 0

  count(ending: Ending, outcome: Outcome, disturbance: Disturbance, request: number): void {
    this.requests++
    const isRight = ending.accepts(outcome)
    // Whose worker was killed may fail in any way, but has no whole answer that is another's.
    const isExcused = !isRight && disturbance !== undefined && hasFailed(outcome, disturbance)
    const came = nameOf(outcome)
    const counted = isRight ? came : isExcused ? `${came} (${disturbance})` : `WRONG ${came}`
    const byOutcome = this.counts.get(ending.name) ?? new Map<string, number>()
    this.counts.set(ending.name, byOutcome.set(counted, (byOutcome.get(counted) ?? 0) + 1))
    if (isRight || isExcused) return
    this.wrongCount++
    if (this.wrong.length < mostWrongKept)
      this.wrong.push(`request ${request}, ${ending.name}: ${told(outcome)}`)
  }
}

/** A worker whose keeper was killed lives on, and has to answer as the README says: its connections are not reset. */
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

function told(outcome: Outcome): string {
  if (outcome.kind !== 'answered') return nameOf(outcome)
  return `${nameOf(outcome)}: ${JSON.stringify(outcome.body.slice(0, longestBody))}`
}
