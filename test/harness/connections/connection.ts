/** Runs one generated connection from its beginning to its end, and checks its responses. */

import type { HandlerProgress } from './handler-progress.js'
import { runHttp1 } from './http1.js'
import { runHttp2 } from './http2.js'
import type { Plan } from './plan.js'
import { faultOf, mayCut, type Received, type Sent } from './requests.js'

/** Resolves with one line per fault. */
export async function runConnection(
  port: number,
  plan: Plan,
  name: string,
  progress: HandlerProgress,
  patienceMs: number
): Promise<string[]> {
  const giveUp = new AbortController()
  const timer = setTimeout(() => giveUp.abort(new Error(`not over after ${patienceMs} ms`)), patienceMs)
  const by = plan.protocol === 'HTTP/2' ? runHttp2 : runHttp1
  try {
    const answers = await by(port, plan, name, progress, giveUp.signal)
    return faultsOf(plan, name, answers)
  } catch (error) {
    const cause = (error as Error).cause as Error | undefined
    return [`${name}: ${cause?.message ?? (error as Error).message}`]
  } finally {
    clearTimeout(timer)
    // Stops everything that still waits for this connection.
    giveUp.abort()
  }
}

function faultsOf(plan: Plan, name: string, answers: readonly (Received | undefined)[]): string[] {
  const faults: string[] = []
  for (const [index, answer] of answers.entries()) {
    const sent = plan.requests[index]
    if (answer === undefined || isToHalfARequest(plan, answer)) continue
    const fault = sent === undefined ? 'an answer to no request' : faultOf(sent, `${name}.${index}`, answer)
    if (fault !== undefined) faults.push(`${name}.${index}, ${sent?.kind}: ${fault}`)
  }
  const { ending } = plan
  // Node refuses streams that arrive together with a GOAWAY.
  const staysForAll = ending.how === 'says goodbye' && ending.when.at !== 'sent'
  if (ending.how === 'reads' || staysForAll) faults.push(...missing(plan, name, answers))
  return faults
}

/** Whether it is Node's own response to a request that is incomplete when the client closes its half. */
function isToHalfARequest({ ending, requests }: Plan, { status }: Received): boolean {
  const isHalf = ('when' in ending && ending.when.at === 'sent') || requests.some(({ isHalf }) => isHalf)
  return status === 400 && (ending.how === 'half-closes' || ending.how === 'reads') && isHalf
}

/** The requests without a response, of a client that waits for all responses, if nothing explains why. */
function missing(
  { protocol, requests }: Plan,
  name: string,
  answers: readonly (Received | undefined)[]
): string[] {
  const isWhole = (index: number): boolean => answers[index]?.isWhole === true
  const absent = requests.flatMap((_, index) => (isWhole(index) ? [] : [index]))
  const say = (index: number): string => `${name}.${index}, ${requests[index]?.kind}: no whole answer`
  if (protocol === 'HTTP/2') {
    // Some requests may not have been sent.
    const isOwed = (index: number): boolean => index < answers.length && !mayCut(requests[index] as Sent)
    return absent.filter(isOwed).map(say)
  }
  // A cut for one request also loses all requests after it. So does a response
  // with which the server announces the close.
  if (requests.some(mayCut) || answers.some((answer) => answer?.isLast)) return []
  return absent.map(say)
}
