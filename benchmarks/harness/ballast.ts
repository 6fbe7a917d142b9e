/** Memory for a worker to hold, as that of a server that has been at work for a while. */

const mebibyte = 1024 * 1024

// For as long as the process lives.
const held: unknown[] = []

/** Makes this process hold as much more as it lacks to so many MB of resident memory, in buffers or in arrays of the heap. */
export function fillTo(megabytes: number, kind: 'buffers' | 'heap' = 'buffers'): void {
  for (;;) {
    const missing = megabytes * 1e6 - process.memoryUsage.rss()
    if (missing < mebibyte) return
    // Written to, since the kernel gives no memory for what nobody has touched.
    if (kind === 'buffers') held.push(Buffer.alloc(Math.min(missing, 64 * mebibyte), 1))
    else held.push(new Array(mebibyte / 8).fill(0.5))
  }
}
