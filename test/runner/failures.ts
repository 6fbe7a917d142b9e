/**
 * The processes that were alive when a test failed: recorded by the preloaded module, read by the reporter.
 */

import { tmpdir } from 'node:os'
import { aliveOf, listOf } from './alive.js'

const aliveByTest = new Map<string, string>()

export function noteFailure(test: string): void {
  const realm = process.env.SUBPROCESS_GUARD_REALM as string
  aliveByTest.set(test, listOf(aliveOf({ realm, folder: tmpdir() })))
}

export function aliveAt(test: string): string {
  return aliveByTest.get(test) ?? ''
}
