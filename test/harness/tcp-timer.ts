/** The kernel's timer of a connection, read from `/proc/net/tcp`. */

import { readFileSync } from 'node:fs'

export interface TcpTimer {
  readonly name: 'none' | 'retransmission' | 'keep-alive' | 'other'
  /** The time until it fires, in ms. */
  readonly dueMs: number
}

const names = ['none', 'retransmission', 'keep-alive'] as const

/** The timer of the IPv4 connection with these ports. Undefined if there is no such connection. */
export function tcpTimerOf(localPort: number, remotePort: number): TcpTimer | undefined {
  for (const line of readFileSync('/proc/net/tcp', 'utf8').split('\n').slice(1)) {
    const [, local, remote, , , timer] = line.trim().split(/\s+/)
    if (portOf(local) !== localPort || portOf(remote) !== remotePort) continue
    const [number, ticks] = (timer as string).split(':')
    // The kernel counts in hundredths of a second here.
    return { name: names[Number(number)] ?? 'other', dueMs: Number.parseInt(ticks as string, 16) * 10 }
  }
  return undefined
}

function portOf(address: string | undefined): number {
  return Number.parseInt(address?.split(':')[1] ?? '', 16)
}
