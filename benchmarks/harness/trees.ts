/** Trees of processes of three levels, and how long it takes until nothing of one is alive. */

import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Actor } from './actor.js'
import { ensure } from './benchmark.js'
import { Pipe } from './pipe.js'

// What is left when a contestant takes its work for done and none dies for so long, is left for good.
const stillMs = 500
// Who has not found out by then that its tree is gone only asks for it now and then, which is nobody's burden.
const settleMs = 200

const program = fileURLToPath(new URL('../../../benchmarks/programs/tree.sh', import.meta.url))

export interface Tree {
  readonly name: string
  /** How many processes it has, in all. */
  readonly size: number
  readonly children: number
  readonly grandchildrenOfEach: number
}

export const trees: readonly Tree[] = [
  { name: '10', children: 3, grandchildrenOfEach: 2 },
  { name: '100', children: 9, grandchildrenOfEach: 10 },
  { name: '1,000', children: 27, grandchildrenOfEach: 36 }
].map((tree) => ({ ...tree, size: 1 + tree.children * (1 + tree.grandchildrenOfEach) }))

/** The program and its arguments, for `sh`. */
export function argumentsOf({ children, grandchildrenOfEach }: Tree): string[] {
  return [program, String(children), String(grandchildrenOfEach)]
}

/** How a tree went. */
export type Ending =
  /**
   * From the call until nothing of it was alive, and how many processes were started on the machine meanwhile; and until the
   * contestant took it for done.
   */
  | { readonly ms: number; readonly started: number; readonly doneMs: number | undefined }
  /** How many of its processes were left, and whether the contestant was still at it when it was given up. */
  | { readonly left: number; readonly isGivenUp: boolean }

/** Has the contestant start a tree and end it within so many ms. What it leaves is ended by the benchmark. */
export async function endTree(contestant: Actor, tree: Tree, withinMs: number): Promise<Ending> {
  const pipe = new Pipe()
  const over = new AbortController()
  try {
    await contestant.ask('start', argumentsOf(tree), pipe.env)
    const [leader, ...others] = await pipe.held(tree.size)
    const isWhole = others.every(({ group, session }) => group === leader?.pid && session === leader.pid)
    ensure(isWhole, 'the processes of the tree are in several groups')
    const before = startedSinceBoot()
    const calledAt = await contestant.ask<number>('end')
    let isAtIt = true
    const done = contestant.ask<number>('done').finally(() => {
      isAtIt = false
    })
    const given = done.then(() => noneDies(pipe, over.signal))
    const endedAt = await Promise.race([pipe.ended, given, passed(withinMs, over.signal)])
    const started = startedSinceBoot() - before
    if (endedAt !== undefined) {
      const doneAt = await Promise.race([done, passed(settleMs, over.signal)])
      return { ms: endedAt - calledAt, started, doneMs: doneAt === undefined ? undefined : doneAt - calledAt }
    }
    const left = { left: pipe.living.length, isGivenUp: isAtIt }
    // Without its tree the contestant has nothing to go on with, and nothing of it meets the next one.
    pipe.close()
    await done
    return left
  } finally {
    over.abort()
    pipe.close()
  }
}

/** Resolves when no process has died for a while. The first look is late: it takes time that dying needs, too. */
async function noneDies(pipe: Pipe, signal: AbortSignal): Promise<void> {
  for (let before = -1, now = 0; before !== now && !signal.aborted; ) {
    await passed(stillMs, signal)
    before = now
    now = pipe.living.length
  }
}

async function passed(ms: number, signal: AbortSignal): Promise<undefined> {
  // It fails when nobody waits any more.
  await pause(ms, undefined, { signal }).catch(() => {})
  return undefined
}

/** Processes and threads, all there ever were on the machine. */
function startedSinceBoot(): number {
  return Number(/^processes (\d+)$/m.exec(readFileSync('/proc/stat', 'utf8'))?.[1])
}
