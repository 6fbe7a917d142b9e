/** The program that the route starts: Python with a process pool, or a shell pipeline where there is none. */

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { killMarked, markName } from './processes.js'

export interface Program {
  readonly file: string
  readonly args: readonly string[]
  readonly description: string
}

/** Processes of the program that compute at the same time. It prints a `computing` line for each. */
export const computingProcesses = 3

const programs: readonly Program[] = [
  {
    file: 'python3',
    args: [pathOf('compute.py')],
    description: `python3 with a multiprocessing.Pool of ${computingProcesses} that counts primes`
  },
  {
    file: 'sh',
    args: [pathOf('compute.sh')],
    description: `a shell pipeline of ${computingProcesses} awk that counts primes, for want of python3`
  }
]
// An interpreter may have to be read from a slow disk first.
const startWithinMs = 10_000

/** The first program that computes here, and how long it takes to begin. Leaves nothing alive. */
export async function rehearse(mark: string): Promise<{ program: Program; startMs: number }> {
  for (const program of programs) {
    const startedAt = performance.now()
    const isComputing = await begins(program, mark)
    const startMs = performance.now() - startedAt
    killMarked(mark)
    if (isComputing) return { program, startMs }
  }
  throw new Error('it starts python3 with multiprocessing, or else sh with awk, and neither works here')
}

async function begins({ file, args }: Program, mark: string): Promise<boolean> {
  const env = { ...process.env, [markName]: mark }
  const child = spawn(file, args, { env, stdio: ['ignore', 'pipe', 'ignore'] })
  // ENOENT: there is no such program, and its standard output ends without a line.
  child.once('error', () => {})
  const timer = setTimeout(() => killMarked(mark), startWithinMs)
  let computing = 0
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith('computing ')) computing++
    if (computing === computingProcesses) break
  }
  clearTimeout(timer)
  child.stdout.destroy()
  return computing === computingProcesses
}

/** The compiler copies no programs: they stay in the source folder. */
function pathOf(name: string): string {
  return fileURLToPath(new URL(`../../../examples/demo/${name}`, import.meta.url))
}
