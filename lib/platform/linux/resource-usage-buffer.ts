/** The `struct rusage` that wait4(2) fills: what a child has used, with what it has waited for itself. */

import type { ProcessUsage } from '../platform.js'

// getrusage(2), where `long` and the seconds of `timeval` have 64 bits: two times, and 14 numbers.
const fields = 18
// ru_inblock and ru_oublock count in this unit, whatever the block size of the file system.
const blockBytes = 512

const has64Bits = !['arm', 'ia32', 'mips', 'mipsel'].includes(process.arch)

export class ResourceUsageBuffer {
  /** In the byte order of the machine. Large enough for any libc. */
  readonly buffer = new BigInt64Array(2 * fields)

  /** Undefined on a machine of 32 bits, where the libcs have different layouts. */
  read(): ProcessUsage | undefined {
    if (!has64Bits) return undefined
    return {
      userUs: this.#at(0) * 1_000_000 + this.#at(1),
      systemUs: this.#at(2) * 1_000_000 + this.#at(3),
      maxRssKb: this.#at(4),
      minorFaults: this.#at(8),
      majorFaults: this.#at(9),
      readBytes: this.#at(11) * blockBytes,
      writtenBytes: this.#at(12) * blockBytes,
      voluntarySwitches: this.#at(16),
      involuntarySwitches: this.#at(17)
    }
  }

  #at(index: number): number {
    return Number(this.buffer[index])
  }
}
