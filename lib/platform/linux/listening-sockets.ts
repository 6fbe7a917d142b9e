/** Lists the Unix sockets that a process listens on. */

import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

// Of /proc/net/unix: address, references, protocol, flags, type, state, inode and path.
const unixSocket = /^\S+: \S+ \S+ (\S+) \S+ \S+ +(\d+) (.+)$/
// __SO_ACCEPTCON, one of those flags: the socket listens (proc_pid_net(5)).
const listening = 0x10000

/** Their paths, as the process sees them. Throws if they are hidden. */
export function listeningSocketsOf(pid: number): string[] {
  const inodes = new Set(socketInodesOf(pid))
  const paths: string[] = []
  // Not from /proc/net: the process may be in another network namespace.
  for (const line of readFileSync(`/proc/${pid}/net/unix`, 'utf8').split('\n')) {
    const [, flags = '', inode = '', path = ''] = unixSocket.exec(line) ?? []
    if (inodes.has(inode) && (Number.parseInt(flags, 16) & listening) !== 0) paths.push(path)
  }
  return paths
}

function socketInodesOf(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((descriptor) => {
    try {
      return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${descriptor}`))?.[1] ?? []
    } catch {
      // Closed since the directory was read.
      return []
    }
  })
}
