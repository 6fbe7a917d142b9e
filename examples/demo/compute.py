"""Counts primes in a multiprocessing.Pool for some minutes. Each process of the pool uses about 35 MB.

Each process prints `computing <pid>` once it has begun; the last line is the result. The processes notice the
end of their parent only when their task is done, and a task takes some minutes.
"""

import os
from multiprocessing import Pool

PROCESSES = 3
# How many numbers to sieve at once, one byte for each.
BLOCK = 16 * 1024 * 1024
BLOCKS_PER_TASK = 2000


def strike_multiples(sieve, begin, step):
    sieve[begin::step] = bytearray(len(range(begin, len(sieve), step)))


def odd_primes_to(limit):
    sieve = bytearray([1]) * (limit + 1)
    for n in range(3, int(limit**0.5) + 1, 2):
        if sieve[n]:
            strike_multiples(sieve, n * n, n)
    return [n for n in range(3, limit + 1, 2) if sieve[n]]


def count_primes(task):
    """Returns the number of primes in the numbers of this task."""
    odd_numbers = bytearray([0, 1]) * (BLOCK // 2)
    block = bytearray(odd_numbers)
    # One write, so that the lines of several processes do not mix.
    os.write(1, f"computing {os.getpid()}\n".encode())
    first = task * BLOCKS_PER_TASK * BLOCK
    end = first + BLOCKS_PER_TASK * BLOCK
    primes = odd_primes_to(int(end**0.5) + 1)
    count = 0
    for low in range(first, end, BLOCK):
        block[:] = odd_numbers
        if low == 0:
            # 1 is not a prime, 2 is.
            block[0:3] = b"\0\0\1"
        for prime in primes:
            square = prime * prime
            if square >= low + BLOCK:
                break
            strike_multiples(block, square - low if square >= low else -low % prime, prime)
        count += block.count(1)
    return count


if __name__ == "__main__":
    with Pool(PROCESSES) as pool:
        print(sum(pool.map(count_primes, range(PROCESSES), chunksize=1)), flush=True)
