/** How many more processes the machine has room for. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'

// Of a sleeping shell or `sleep`, with what the kernel keeps for it.
const kilobytesOfEach = 512

/** The least of what the numbers, the limit of the user, the control group and the memory allow. */
export function roomForProcesses(): number {
  const running = Number(read('/proc/loadavg')?.split(/[/ ]/)[4])
  const numbers = Number(read('/proc/sys/kernel/pid_max')) - running
  const available = Number(/^MemAvailable:\s+(\d+)/m.exec(read('/proc/meminfo') ?? '')?.[1])
  const group = join('/sys/fs/cgroup', /^0::(.*)$/m.exec(read('/proc/self/cgroup') ?? '')?.[1] ?? '')
  const most = read(join(group, 'pids.max'))
  const inGroup = Number(read(join(group, 'pids.current')) ?? 0)
  // One that is not a number is "max", "unlimited", or not there.
  const bounds = [numbers, available / kilobytesOfEach, Number(most) - inGroup, limitOfUser() - running]
  return Math.max(0, Math.floor(Math.min(...bounds.filter((bound) => !Number.isNaN(bound)))))
}

/** Root may have as many as it likes. */
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
