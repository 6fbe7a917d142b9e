/**
 * The program that the routes start: Python with a process pool, else a shell pipeline. Where there is no `/proc`,
 * a tree of Node.js processes.
 */

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { hasProc, killMarked, markName } from './processes.js'

export interface Program {
  readonly file: string
  readonly args: readonly string[]
  readonly description: string
}

/** How many processes of the program compute at the same time. It prints a `computing` line for each. */
export const computingProcesses = 3

const programWithoutProc: Program = {
  file: process.execPath,
  args: [fileURLToPath(new URL('compute-main.js', import.meta.url))],
  description: `a Node.js program with ${computingProcesses} processes that count primes`
}
const programsOfLinux: readonly Program[] = [
  {
    file: 'python3',
    args: [pathOf('compute.py')],
    description: `python3 with a multiprocessing.Pool of ${computingProcesses} that counts primes`
  },
  {
    file: 'sh',
    args: [pathOf('compute.sh')],
    description: `a shell pipeline of ${computingProcesses} awk that counts primes, since there is no python3`
  }
]
// The interpreter may have to be read from a slow disk first.
const startWithinMs = 30_000

/** Finds the first program that works here, and how long it takes to begin. Ends all its processes. */
export async function rehearse(mark: string): Promise<{ program: Program; startMs: number }> {
  const programs = hasProc ? programsOfLinux : [programWithoutProc]
  for (const program of programs) {
    const startedAt = performance.now()
    const isComputing = await begins(program, mark)
    const startMs = performance.now() - startedAt
    killMarked(mark)
    if (isComputing) return { program, startMs }
  }
  throw new Error(
    hasProc
      ? 'it needs python3 with multiprocessing, or sh with awk, and neither works here'
      : 'no Node.js process could start others'
  )
}

async function begins({ file, args }: Program, mark: string): Promise<boolean> {
  const env = { ...process.env, [markName]: mark }
  const child = spawn(file, args, { env, stdio: ['ignore', 'pipe', 'ignore'] })
  // ENOENT: the program does not exist, and standard output ends without a line.
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

/** The compiler does not copy the programs: they are in the source directory. */
function pathOf(name: string): string {
  return fileURLToPath(new URL(`../../../examples/demo/${name}`, import.meta.url))
}
