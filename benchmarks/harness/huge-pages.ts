/** Memory in huge pages: with small ones, many a virtual machine cannot hand out a gigabyte in a second. */

import koffi from 'koffi'

export const hugePageBytes = 2 * 1_024 * 1_024
// linux/mman.h
const PROT_READ_WRITE = 3
const MAP_PRIVATE_ANONYMOUS = 0x22
const MADV_HUGEPAGE = 14

const library = koffi.load(null)
const mmap = library.func('uintptr_t mmap(void *, size_t, int, int, int, int64_t)')
const munmap = library.func('int munmap(uintptr_t, size_t)')
const madvise = library.func('int madvise(uintptr_t, size_t, int)')
const memset = library.func('void *memset(uintptr_t, int, size_t)')

export class HugePages {
  readonly #start: number
  readonly #bytes: number
  readonly #firstByte: number
  readonly #count: number
  #taken = 0

  /** Reserves addresses for so many pages, which takes no memory yet. */
  constructor(count: number) {
    this.#count = count
    this.#bytes = (count + 1) * hugePageBytes
    this.#start = Number(mmap(null, this.#bytes, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0))
    this.#firstByte = Math.ceil(this.#start / hugePageBytes) * hugePageBytes
    // It fails on a system without huge pages, where small ones have to do.
    madvise(this.#firstByte, count * hugePageBytes, MADV_HUGEPAGE)
  }

  /** The memory that was taken. */
  get takenBytes(): number {
    return this.#taken * hugePageBytes
  }

  get areAllTaken(): boolean {
    return this.#taken === this.#count
  }

  /** Takes the memory of one more page. */
  take(): void {
    memset(this.#firstByte + this.#taken++ * hugePageBytes, 1, hugePageBytes)
  }

  free(): void {
    munmap(this.#start, this.#bytes)
  }
}

/**
 * Takes memory, and returns a function that gives it back. What was given back just now is handed out fast. Other
 * memory of a virtual machine has to come from its host first, which may be slower than any program.
 */
export function holdMemory(bytes: number): () => void {
  const pages = new HugePages(Math.ceil(bytes / hugePageBytes))
  while (!pages.areAllTaken) pages.take()
  return () => pages.free()
}
