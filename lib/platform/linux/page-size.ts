/** The size of a page of memory: 4 kB, or up to 64 kB on some machines with arm64 or ppc64. */

import { readFileSync } from 'node:fs'
import { endianness } from 'node:os'

// Of the auxiliary vector (getauxval(3)): pairs of a type and a value, each of the size of a pointer.
const AT_PAGESZ = 6
const usualBytes = 4_096

let bytes: number | undefined

export function pageBytes(): number {
  bytes ??= readPageBytes() ?? usualBytes
  return bytes
}

function readPageBytes(): number | undefined {
  try {
    const vector = readFileSync('/proc/self/auxv')
    const is32Bit = ['arm', 'ia32', 'mips', 'mipsel'].includes(process.arch)
    const size = is32Bit ? 4 : 8
    const at = (offset: number): number =>
      // The values that are compared here fit into 6 bytes.
      endianness() === 'LE'
        ? vector.readUIntLE(offset, Math.min(size, 6))
        : vector.readUIntBE(offset + size - Math.min(size, 6), Math.min(size, 6))
    for (let offset = 0; offset + 2 * size <= vector.length; offset += 2 * size) {
      if (at(offset) === AT_PAGESZ) return at(offset + size)
    }
    return undefined
  } catch {
    return undefined
  }
}
