/** The transport of a request: its socket in HTTP/1, its stream in HTTP/2. */

import type { IncomingMessage } from 'node:http'

/** What a socket and an HTTP/2 stream have in common, and what only a stream has. */
export interface Transport {
  readonly destroyed: boolean
  /** Of a stream: whether the client or its connection has ended it. */
  readonly aborted?: boolean
  /** Whether it has ended, in whatever way. */
  readonly closed?: boolean
  /** Of a stream. */
  readonly session?: { readonly socket?: { once(event: 'close', listener: () => void): unknown } }
  /** Missing in a request that a test injects. */
  destroy?(): void
  /**
   * Of a stream: closes it with an error code. If it were destroyed, it would look complete to the client.
   */
  close?(code: number): void
  once(event: 'close' | 'aborted', listener: () => void): unknown
}

/** The transport of a request. Node's types know only HTTP/1. */
export function transportOf(raw: IncomingMessage): Transport {
  // Faster than to look for a `stream` that HTTP/1 does not have.
  return raw.httpVersionMajor === 2 ? (raw as unknown as { stream: Transport }).stream : raw.socket
}
