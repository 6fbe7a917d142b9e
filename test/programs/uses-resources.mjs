// Fills $1 MB of memory, computes for $2 ms of processor time, and writes what it has used. With $3 it first
// starts a child that does the same, and waits for it. Ends when its standard input does.
import { spawnSync } from 'node:child_process'
import { writeSync } from 'node:fs'

const [megabytes, cpuMs, withChild] = process.argv.slice(2)

if (withChild !== undefined) {
  spawnSync(process.execPath, [process.argv[1], megabytes, cpuMs], {
    stdio: ['ignore', 'inherit', 'inherit']
  })
}
const filled = Buffer.alloc(Number(megabytes) * 1e6, 1)
const startedAt = process.cpuUsage()
for (let used = 0, sum = 0; used < Number(cpuMs) * 1_000; ) {
  for (let index = 0; index < filled.length; index += 4_096) sum += filled[index]
  const { user, system } = process.cpuUsage(startedAt)
  used = sum > 0 ? user + system : 0
}
const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage()
writeSync(1, `${JSON.stringify({ userCPUTime, systemCPUTime, maxRSS })}\n`)
process.stdin.resume()
