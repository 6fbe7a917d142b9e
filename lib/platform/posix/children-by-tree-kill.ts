/** Whether `tree-kill` can list the children of a process: it runs `pgrep` on macOS, and the ps of Linux elsewhere. */

import { spawnSync } from 'node:child_process'

const parent = String(process.ppid)
const [program, args] =
  process.platform === 'darwin'
    ? ['pgrep', ['-P', parent]]
    : ['ps', ['-o', 'pid', '--no-headers', '--ppid', parent]]

/** The program that it runs here. */
export const childLister = program

/** Tries it with this process, which is a child of its parent. */
export function canListChildren(): boolean {
  const { stdout } = spawnSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  return (stdout ?? '').split(/\s+/).includes(String(process.pid))
}
