/** Tells what the main thread does while it runs no JavaScript, from what the kernel shows. */

import { platform } from '../platform/current.js'
import { keeperMarkName } from '../wire/mark.js'

const maxChildrenNamed = 5

/** What the main thread of this process does, and the commands that it may wait for. */
export function whatMainThreadDoes(): string {
  // The state of a process is that of its main thread.
  const stat = platform.statOf(process.pid)
  if (stat === undefined) return 'this process cannot be inspected'
  const wait = platform.kernelWaitOf(process.pid)
  const where = wait === undefined ? '' : ` (${wait})`
  if (stat.state === 'R') return 'it computes in native code'
  if (stat.state === 'D') return `it waits for a device${where}`
  const children = platform
    .childrenOf(stat)
    .filter((pid) => platform.environmentOf(pid, keeperMarkName) === undefined)
    .map((pid) => platform.statOf(pid))
    .filter((child) => child?.alive)
    .map((child) => (child === undefined ? '' : `${child.pid} ${platform.commandOf(child)}`))
  const others = children.length - maxChildrenNamed
  const named = children.slice(0, maxChildrenNamed).join(', ') + (others > 0 ? ` and ${others} more` : '')
  return `it sleeps${where}${children.length === 0 ? '' : `, and may wait for ${named}`}`
}
