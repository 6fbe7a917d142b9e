/**
 * Knows the living processes of the demo on Windows, where the environment of another process cannot be read: each
 * process of the program holds a connection to a named pipe, which the system closes when the process ends.
 */

import { randomUUID } from 'node:crypto'
import { connect, createServer } from 'node:net'
import { markName, type ProcessRow } from './process-row.js'

export const memoryKind = 'RSS'

/** Names the pipe to the processes of the program, which inherit it through the servers. */
const pipeName = 'DEMO_PIPE'

interface Reported extends ProcessRow {
  readonly mark: string
}

const alive = new Map<number, Reported>()

/** In the demo: listens from now on. */
export function listen(): void {
  const path = `\\\\.\\pipe\\demo-${randomUUID()}`
  process.env[pipeName] = path
  const server = createServer((socket) => {
    let pid: number | undefined
    socket.setEncoding('utf8').on('data', (line: string) => {
      const row: Reported = JSON.parse(line)
      pid = row.pid
      alive.set(pid, row)
    })
    socket.on('error', () => {})
    socket.once('close', () => pid !== undefined && alive.delete(pid))
    socket.unref()
  })
  server.listen({ path, exclusive: true }).unref()
}

/** In a process of the program: reports it to the demo. Calls back when that was done. */
export function report(command: string, onReported: () => void): void {
  const row: Reported = {
    pid: process.pid,
    parent: process.ppid,
    bytes: process.memoryUsage.rss(),
    command,
    mark: process.env[markName] ?? ''
  }
  const socket = connect(process.env[pipeName] as string)
  socket.on('error', () => {})
  socket.write(JSON.stringify(row), onReported)
  socket.unref()
}

/** The living processes whose mark begins with this text. */
export function pidsOf(mark: string): number[] {
  return [...alive.values()].filter((row) => row.mark.startsWith(mark)).map(({ pid }) => pid)
}

export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

export function rowsOf(pids: readonly number[]): ProcessRow[] {
  return pids.flatMap((pid) => alive.get(pid) ?? [])
}

/** Kills the processes whose mark begins with this text. Returns how many could not be killed. */
export function killMarked(mark: string): number {
  let failures = 0
  for (const pid of pidsOf(mark)) {
    try {
      process.kill(pid, 'SIGKILL')
      alive.delete(pid)
    } catch {
      if (isAlive(pid)) failures++
    }
  }
  return failures
}
