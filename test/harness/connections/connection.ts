/** One generated connection from its beginning to its end, and what is wrong with its answers. */

import type { Begun } from './begun.js'
import { converseByHttp1 } from './http1.js'
import { converseByHttp2 } from './http2.js'
import type { Plan } from './plan.js'
import { faultOf, mayCut, type Received, type Sent } from './requests.js'

/** Resolves with what is wrong: nothing, or one line for each fault. */
export async function converse(
  port: number,
  plan: Plan,
  name: string,
  begun: Begun,
  patienceMs: number
): Promise<string[]> {
  const giveUp = new AbortController()
  const timer = setTimeout(() => giveUp.abort(new Error(`not over after ${patienceMs} ms`)), patienceMs)
  const by = plan.protocol === 'HTTP/2' ? converseByHttp2 : converseByHttp1
  try {
    const answers = await by(port, plan, name, begun, giveUp.signal)
    return faultsOf(plan, name, answers)
  } catch (error) {
    const cause = (error as Error).cause as Error | undefined
    return [`${name}: ${cause?.message ?? (error as Error).message}`]
  } finally {
    clearTimeout(timer)
    // Whatever still waits for something of this connection.
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
  // Node refuses streams that come together with a GOAWAY.
  const staysForAll = ending.how === 'says goodbye' && ending.when.at !== 'sent'
  if (ending.how === 'reads' || staysForAll) faults.push(...missing(plan, name, answers))
  return faults
}

/** Node's own answer to a request that ends with the client's half of the connection. */
function isToHalfARequest({ ending, requests }: Plan, { status }: Received): boolean {
  const isHalf = ('when' in ending && ending.when.at === 'sent') || requests.some(({ isHalf }) => isHalf)
  return status === 400 && (ending.how === 'half-closes' || ending.how === 'reads') && isHalf
}

/** The requests without an answer of a client that waits for all, where nothing tells it why. */
function missing(
  { protocol, requests }: Plan,
  name: string,
  answers: readonly (Received | undefined)[]
): string[] {
  const isWhole = (index: number): boolean => answers[index]?.isWhole === true
  const absent = requests.flatMap((_, index) => (isWhole(index) ? [] : [index]))
  const say = (index: number): string => `${name}.${index}, ${requests[index]?.kind}: no whole answer`
  if (protocol === 'HTTP/2') {
    // Some may not have been sent.
    const isOwed = (index: number): boolean => index < answers.length && !mayCut(requests[index] as Sent)
    return absent.filter(isOwed).map(say)
  }
  // A connection is cut for one request, and all behind it are lost; so are those of which the server said so.
  if (requests.some(mayCut) || answers.some((answer) => answer?.isLast)) return []
  return absent.map(say)
}
