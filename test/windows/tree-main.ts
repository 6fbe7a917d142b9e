/**
 * A tree of Node.js processes that never end by themselves: a leader, its child, and a grandchild that is
 * detached. Each tells the witness that it is alive.
 */

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { tellWitness } from './witness.js'

/** From the leader to the last descendant. */
export const members = ['leader', 'child', 'grandchild'] as const

/** Names the processes of a tree: of one test there may be several trees. */
const prefix = process.argv[2] as string
const depth = Number(process.argv[3] ?? 0)

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  tellWitness(`${prefix}${members[depth]}`)
  if (depth < members.length - 1) {
    const args = [fileURLToPath(import.meta.url), prefix, String(depth + 1)]
    spawn(process.execPath, args, { stdio: 'ignore', detached: depth === members.length - 2 }).unref()
  }
  setInterval(() => {}, 60_000)
}
