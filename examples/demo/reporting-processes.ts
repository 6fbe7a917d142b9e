/**
 * Knows the living processes of the demo where the environment of another process cannot be read (Windows, macOS):
 * each process of the program holds a connection to the demo, which the system closes when the process ends.
 */

import { randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { markName, type ProcessRow } from './process-row.js'

export const memoryKind = 'RSS'

/** Tells the processes of the program where to connect. They inherit it through the servers. */
const pathName = 'DEMO_SOCKET'

interface Reported extends ProcessRow {
  readonly mark: string
}

const alive = new Map<number, Reported>()

/** In the demo: listens from now on. */
export function listen(): void {
  const name = `demo-${randomUUID()}`
  const isWindows = process.platform === 'win32'
  // The path of a socket has at most 103 bytes on macOS, whose directory for temporary files takes 49.
  const path = isWindows ? `\\\\.\\pipe\\${name}` : join(tmpdir(), name)
  process.env[pathName] = path
  if (!isWindows) process.once('exit', () => rmSync(path, { force: true }))
  const server = createServer((socket) => {
    let pid: number | undefined
    socket.setEncoding('utf8').on('data', (line: string) => {
      const row: Reported = JSON.parse(line)
      pid = row.pid
      alive.set(pid, row)
      socket.write('known')
    })
    socket.on('error', () => {})
    socket.once('close', () => pid !== undefined && alive.delete(pid))
    socket.unref()
  })
  server.listen({ path, exclusive: true }).unref()
}

/** In a process of the program: reports it to the demo. Calls back when the demo knows it. */
export function report(command: string, onReported: () => void): void {
  const row: Reported = {
    pid: process.pid,
    parent: process.ppid,
    // It has just begun, so the most until now is what it has.
    bytes: process.resourceUsage().maxRSS * 1024,
    command,
    mark: process.env[markName] ?? ''
  }
  const socket = connect(process.env[pathName] as string)
  socket.on('error', () => {})
  socket.once('data', () => {
    socket.unref()
    onReported()
  })
  socket.write(JSON.stringify(row))
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
