/**
 * Counts primes in three processes, for some minutes: the program of the demo where there is no `/proc`. Each process prints
 * `computing <pid>` once it has begun, and none notices the end of its parent.
 */

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { report } from './reporting-processes.js'

const processes = 3
const numbersEach = 300_000_000
const part = process.argv[2]
const self = fileURLToPath(import.meta.url)

if (part === undefined) {
  report('node compute-main.js', () => {
    for (let index = 0; index < processes; index++) {
      // Node.js itself ends other children with their parent, as far as they are Node.js programs, too.
      spawn(process.execPath, [self, String(index)], {
        stdio: ['ignore', 'inherit', 'inherit'],
        detached: true
      })
    }
  })
} else {
  report(`node compute-main.js ${part}`, () => {
    process.stdout.write(`computing ${process.pid}\n`, () => countPrimes(Number(part) * numbersEach))
  })
}

function countPrimes(from: number): void {
  let count = 0
  for (let number = from; number < from + numbersEach; number++) if (isPrime(number)) count++
  process.stdout.write(`${count}\n`)
}

function isPrime(number: number): boolean {
  for (let divisor = 2; divisor * divisor <= number; divisor++) if (number % divisor === 0) return false
  return number > 1
}
