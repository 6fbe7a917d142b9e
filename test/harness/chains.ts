/** Guards with every way of finding processes, and keepers that lack a resource. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, type TestContext } from 'node:test'
import { createGuard, type Scope } from 'fastify-subprocess-guard'
import { assertGone } from './expectations.js'
import { Guarded } from './guarded.js'
import { bestLevel, levelWithoutKoffi } from './level.js'
import { installWithoutKoffi } from './without-koffi.js'

const withoutKoffi = await installWithoutKoffi()
process.once('exit', withoutKoffi.remove)

const ways = [
  { containment: bestLevel, launch: 'keeper', create: createGuard },
  { containment: bestLevel, launch: 'direct', create: createGuard },
  { containment: levelWithoutKoffi, launch: 'keeper', create: withoutKoffi.createGuard }
] as const

/** Runs the same tests for each of them. `start` returns a guard with a keeper of its own. */
export function forEachWay(body: (start: (t: TestContext) => Promise<Guarded>, way: string) => void): void {
  for (const { containment, launch, create } of ways) {
    const way = `containment "${containment}", launch: ${launch}`
    const start = async (t: TestContext): Promise<Guarded> => {
      const guarded = await Guarded.start({ launch }, create)
      t.after(() => guarded.close())
      assert.equal(guarded.guard.containment, containment)
      return guarded
    }
    suite(way, () => body(start, way))
  }
}

/** A scope with one waiting process, which the keeper has seen. */
export async function startWaiting(guarded: Guarded): Promise<Scope> {
  const scope = guarded.guard.open({ timeout: false })
  const before = guarded.witness.announced.length
  guarded.run(scope, 'waits.sh')
  await guarded.witness.present(before + 1)
  assert.equal((await scope.list()).length, 1)
  return scope
}

/** Leaves the keeper no free descriptor until the test is over or calls the returned function. */
export function takeDescriptors(t: TestContext, keeper: number): () => void {
  const prlimit = (...args: string[]): string =>
    execFileSync('prlimit', ['--pid', `${keeper}`, ...args], { encoding: 'utf8' })
  const soft = prlimit('--nofile', '--noheadings', '--output=SOFT').trim()
  let isOver = false
  const restore = (): void => {
    if (!isOver) prlimit(`--nofile=${soft}:`)
    isOver = true
  }
  prlimit('--nofile=3:')
  t.after(restore)
  return restore
}

/**
 * Limits the stack of keepers that start from now on to so many kilobytes: then a short chain has the effect
 * that otherwise only a long one has.
 */
export function takeStack(t: TestContext, kilobytes: number): void {
  const folder = mkdtempSync(join(tmpdir(), 'chains-'))
  const node = process.execPath
  process.execPath = join(folder, 'node')
  writeFileSync(process.execPath, `#!/bin/sh\nexec '${node}' --stack-size=${kilobytes} "$@"\n`)
  chmodSync(process.execPath, 0o755)
  t.after(() => {
    process.execPath = node
    rmSync(folder, { recursive: true })
  })
}

/** How long ten thousand processes may take to start, in ms. A slow machine takes more than a minute. */
export const startMs = 300_000

/**
 * Starts so many processes in a scope, each in its own session. Resolves with their pids in ascending order.
 */
export async function runSessions(guarded: Guarded, scope: Scope, count: number, shape: 'chain' | 'wide') {
  guarded.run(scope, 'sessions.sh', [`${count}`, shape])
  return inOrder(await guarded.witness.present(count, startMs))
}

/**
 * Asserts that this many processes of one scope are listed and ended, and that the keeper goes on serving.
 */
export async function assertListedAndEnded(guarded: Guarded, count: number, shape: 'chain' | 'wide') {
  const { keeper } = guarded.guard
  const scope = guarded.guard.open({ timeout: false })
  const pids = await runSessions(guarded, scope, count, shape)
  assert.deepEqual(inOrder(await scope.list()), pids)
  const { processes, survivors } = await scope.close()
  assert.deepEqual(survivors, [])
  assert.deepEqual(inOrder(processes), pids)
  await assertGone(guarded)
  assert.equal((await guarded.guard.open().execFile('echo', ['again'])).stdout, 'again\n')
  assert.equal(guarded.guard.keeper, keeper)
}

export function inOrder(processes: readonly { readonly pid: number }[]): number[] {
  return processes.map(({ pid }) => pid).sort((one, other) => one - other)
}
