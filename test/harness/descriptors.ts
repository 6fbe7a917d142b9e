/** Exhausts the descriptors of the test's own process. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import type { TestContext } from 'node:test'

/** Limits this process to 500 descriptors until the test is over. */
export function limitOwnDescriptors(t: TestContext): void {
  const prlimit = (...args: string[]): string =>
    execFileSync('prlimit', ['--pid', `${process.pid}`, ...args], { encoding: 'utf8' })
  const soft = prlimit('--nofile', '--noheadings', '--output=SOFT').trim()
  prlimit('--nofile=500:')
  t.after(() => void prlimit(`--nofile=${soft}:`))
}

/** Opens files until no descriptor is left. Returns a function that closes them. */
export function takeAllDescriptors(): () => void {
  const taken: number[] = []
  try {
    for (;;) taken.push(openSync('/dev/null', 'r'))
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'EMFILE')
  }
  return () => {
    for (const descriptor of taken) closeSync(descriptor)
  }
}
