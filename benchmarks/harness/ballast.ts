/** Fills the memory of a worker, like that of a server that has run for a while. */

const mebibyte = 1024 * 1024

// Held as long as the process lives.
const held: unknown[] = []

/** Allocates buffers or heap arrays until this process has that many MB of resident memory. */
export function fillTo(megabytes: number, kind: 'buffers' | 'heap' = 'buffers'): void {
  for (;;) {
    const missing = megabytes * 1e6 - process.memoryUsage.rss()
    if (missing < mebibyte) return
    // Filled, since the kernel provides memory only for pages that were written to.
    if (kind === 'buffers') held.push(Buffer.alloc(Math.min(missing, 64 * mebibyte), 1))
    else held.push(new Array(mebibyte / 8).fill(0.5))
  }
}
