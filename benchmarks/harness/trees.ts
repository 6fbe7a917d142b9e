/** Process trees with three levels, and the time until no process of a tree is alive. */

import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Actor } from './actor.js'
import { ensure } from './benchmark.js'
import { Pipe } from './pipe.js'

// If the contestant is done and no process dies for this long, the rest never ends.
const stillMs = 500
// How long to wait for the contestant to notice the end of its tree. Later it only polls now and then.
const settleMs = 200

const program = fileURLToPath(new URL('../../../benchmarks/programs/tree.sh', import.meta.url))

export interface Tree {
  readonly name: string
  /** The number of its processes. */
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

/** How a tree ended. */
export type Ending =
  /**
   * The time from the call until no process was alive, the number of processes that were started on the
   * machine meanwhile, and the time until the contestant considered the tree ended.
   */
  | { readonly ms: number; readonly started: number; readonly doneMs: number | undefined }
  /** The number of processes left, and whether the contestant had not finished when the time was up. */
  | { readonly left: number; readonly isGivenUp: boolean }

/** The contestant starts a tree and ends it within that time. The benchmark ends what is left. */
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
    const endedAt = await Promise.race([pipe.ended, given, elapsed(withinMs, over.signal)])
    const started = startedSinceBoot() - before
    if (endedAt !== undefined) {
      const doneAt = await Promise.race([done, elapsed(settleMs, over.signal)])
      return { ms: endedAt - calledAt, started, doneMs: doneAt === undefined ? undefined : doneAt - calledAt }
    }
    const left = { left: pipe.living.length, isGivenUp: isAtIt }
    // Ending the tree lets the contestant finish, so that it does not disturb the next one.
    pipe.close()
    await done
    return left
  } finally {
    over.abort()
    pipe.close()
  }
}

/**
 * Resolves when no process has died for a while. The first check is late, since it takes processor time from
 * the dying processes.
 */
async function noneDies(pipe: Pipe, signal: AbortSignal): Promise<void> {
  for (let before = -1, now = 0; before !== now && !signal.aborted; ) {
    await elapsed(stillMs, signal)
    before = now
    now = pipe.living.length
  }
}

async function elapsed(ms: number, signal: AbortSignal): Promise<undefined> {
  // It rejects when it is aborted.
  await pause(ms, undefined, { signal }).catch(() => {})
  return undefined
}

/** The number of processes and threads that were ever started on the machine. */
function startedSinceBoot(): number {
  return Number(/^processes (\d+)$/m.exec(readFileSync('/proc/stat', 'utf8'))?.[1])
}
