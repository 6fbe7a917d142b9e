/** What the kernel tells of a main thread that runs no JavaScript. */

import { childrenOf, commandOf, environmentOf, kernelWaitOf, statOf } from '../platform/current.js'
import { keeperMarkName } from '../wire/mark.js'

const mostChildrenNamed = 5

/** What this process's main thread does, and the commands that it may wait for. */
export function whatMainThreadDoes(): string {
  // The state of a process is that of its main thread.
  const stat = statOf(process.pid)
  if (stat === undefined) return 'this process cannot be seen in /proc'
  const wait = kernelWaitOf(process.pid)
  const where = wait === undefined ? '' : ` (${wait})`
  if (stat.state === 'R') return 'it computes in native code'
  if (stat.state === 'D') return `it waits for a device${where}`
  const children = childrenOf(stat)
    .filter((pid) => environmentOf(pid, keeperMarkName) === undefined)
    .map((pid) => statOf(pid))
    .filter((child) => child?.alive)
    .map((child) => (child === undefined ? '' : `${child.pid} ${commandOf(child)}`))
  const others = children.length - mostChildrenNamed
  const named = children.slice(0, mostChildrenNamed).join(', ') + (others > 0 ? ` and ${others} more` : '')
  return `it sleeps${where}${children.length === 0 ? '' : `, and may wait for ${named}`}`
}
