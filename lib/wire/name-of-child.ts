/** Names a child of this process. */

import { platform } from '../platform/current.js'
import type { ProcessName } from './messages.js'

/** The process must not have been reaped: then no other process has its pid. */
export function nameOfChild(pid: number): ProcessName {
  const stat = platform.statOfOwnChild(pid)
  if (stat === 'unread') return { pid, startTick: 0, isUnread: true }
  return { pid, startTick: stat?.startTick ?? 0 }
}
