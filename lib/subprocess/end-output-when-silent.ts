/**
 * Ends the output of a process that has exited: 'close' does not wait for a grandchild that holds it open.
 */

import type { Socket } from 'node:net'

// How long the output of a process that has exited may stay silent before it counts as complete. What the
// process wrote is in the socket already; only another process that holds the other end could write more.
const silenceMs = 250
// If another process goes on writing, the output counts as complete after this many checks, `silenceMs`
// apart. Checks while a slow reader has data waiting do not count.
const maxChecks = 4
// No socket buffer holds as much: the rest was written after the process exited, however slow the reader is.
const maxBytes = 64 * 1024 * 1024

/**
 * Ends the output when everything that the process wrote is read, even if a grandchild holds the other end,
 * whether that writes or not. Waits for a slow reader.
 */
export function endWhenSilent(output: Socket): void {
  if (output.closed) return
  const firstBytes = output.bytesRead
  let lastBytes = firstBytes
  let checks = 0
  const check = (): void => {
    if (output.destroyed || output.readableEnded) return
    const isRead = output.readableLength === 0
    const isSilent = output.bytesRead === lastBytes
    lastBytes = output.bytesRead
    if (isRead) checks++
    if ((isRead && (isSilent || checks >= maxChecks)) || lastBytes - firstBytes > maxBytes) {
      output.push(null)
      // The socket is destroyed only after 'end'. Drop what comes until then: another process wrote it.
      output.push = () => false
    } else timer.refresh()
  }
  // Timers run before the loop polls for input: after a blocked loop, let it read the input first.
  const timer = setTimeout(() => setImmediate(check), silenceMs)
  output.once('close', () => clearTimeout(timer))
}
