/** The laws for each cell of the matrix, applied to what its client has seen. */

import { gunzipSync } from 'node:zlib'
import type { Answer } from '../client.js'
import type { Ending, Expected } from './endings.js'
import type { Handler } from './handlers.js'

/**
 * What a client has seen: a response, the code of the error that it got
 * instead, or nothing in the time it waited.
 */
export type Seen = Answer | { readonly error: string } | 'nothing'

/** What is wrong with what the client of a cell has seen; undefined if nothing. */
export function wrongAnswer(handler: Handler, ending: Ending, seen: Seen): string | undefined {
  if (ending.expected === 'none') return undefined
  const mayBeCut = ending.expected !== 'own' && (ending.stage === 'begun' || handler.isRaw)
  if (mayBeCut && isCut(seen)) return undefined
  // A response that has begun can no longer become an error.
  const isRight = ending.stage !== 'begun' && isExpected(handler, ending.expected, seen)
  if (isRight) return undefined
  const wanted = [
    ...(ending.stage === 'begun' ? [] : [wantedOf(handler, ending.expected)]),
    ...(mayBeCut ? ['a cut'] : [])
  ]
  return `expected ${wanted.join(' or ')}, got ${shown(seen)}`
}

function isCut(seen: Seen): boolean {
  return typeof seen === 'object' && ('error' in seen || seen.isCut)
}

function isExpected(handler: Handler, expected: Expected, seen: Seen): boolean {
  if (typeof seen !== 'object' || 'error' in seen || seen.isCut) return false
  const body = bodyOf(seen)
  if (body === undefined) return false
  if (expected === 'own') return seen.status === 200 && body.startsWith(handler.answer)
  const { code, message } = jsonOf(body)
  if (expected === 'thrown') return seen.status === 500 && message === 'thrown'
  return seen.status === 503 && code === expected
}

function wantedOf(handler: Handler, expected: Expected): string {
  if (expected === 'own') return `200 ${JSON.stringify(handler.answer)}`
  return expected === 'thrown' ? '500 "thrown"' : `503 ${expected}`
}

/** The text of a response whose bytes came as latin1; undefined if the body does not match its headers. */
function bodyOf({ body, headers }: Answer): string | undefined {
  const bytes = Buffer.from(body, 'latin1')
  const encoding = headers['content-encoding'] ?? 'identity'
  if (encoding === 'identity') return bytes.toString()
  if (encoding !== 'gzip') return undefined
  try {
    return gunzipSync(bytes).toString()
  } catch {
    return undefined
  }
}

function jsonOf(body: string): { code?: unknown; message?: unknown } {
  try {
    return Object(JSON.parse(body))
  } catch {
    return {}
  }
}

function shown(seen: Seen): string {
  if (seen === 'nothing') return 'no answer'
  if ('error' in seen) return `no answer (${seen.error})`
  const body = bodyOf(seen)
  const text =
    body === undefined
      ? `${JSON.stringify(seen.body.slice(0, 80))}, which is no ${seen.headers['content-encoding']}`
      : JSON.stringify(body.slice(0, 120))
  return `${seen.status} ${text}${seen.isCut ? ', cut' : ''}`
}
