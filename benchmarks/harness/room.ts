/** How many more processes the machine can run. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'

// For a sleeping shell or `sleep`, including the kernel's memory for it.
const kilobytesOfEach = 512

/** The minimum of what free pids, the limit of the user, the cgroup and the memory allow. */
export function roomForProcesses(): number {
  const running = Number(read('/proc/loadavg')?.split(/[/ ]/)[4])
  const numbers = Number(read('/proc/sys/kernel/pid_max')) - running
  const available = Number(/^MemAvailable:\s+(\d+)/m.exec(read('/proc/meminfo') ?? '')?.[1])
  const group = join('/sys/fs/cgroup', /^0::(.*)$/m.exec(read('/proc/self/cgroup') ?? '')?.[1] ?? '')
  const most = read(join(group, 'pids.max'))
  const inGroup = Number(read(join(group, 'pids.current')) ?? 0)
  // NaN: the limit is "max", "unlimited" or absent.
  const bounds = [numbers, available / kilobytesOfEach, Number(most) - inGroup, limitOfUser() - running]
  return Math.max(0, Math.floor(Math.min(...bounds.filter((bound) => !Number.isNaN(bound)))))
}

/** Root has no limit. */
function limitOfUser(): number {
  if (process.geteuid?.() === 0) return Number.NaN
  return Number(/^Max processes\s+(\S+)/m.exec(read('/proc/self/limits') ?? '')?.[1])
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // Not on this machine.
    return undefined
  }
}
