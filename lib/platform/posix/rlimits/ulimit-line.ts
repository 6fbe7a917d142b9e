/** The line of a shell that sets limits by `ulimit` and runs a program, for systems without prlimit(1). */

import { spawnSync } from 'node:child_process'
import type { RlimitName } from '../../../rlimit-options.js'
import { limitError } from './limit-error.js'

/** How shells name a limit: the letters that are in use, and the bytes of a unit. */
const options: Readonly<Partial<Record<RlimitName, { letters: string; unit?: number }>>> = {
  as: { letters: 'v', unit: 1_024 },
  // dash and busybox, and bash when it runs as sh.
  core: { letters: 'c', unit: 512 },
  cpu: { letters: 't' },
  data: { letters: 'd', unit: 1_024 },
  fsize: { letters: 'f', unit: 512 },
  // bash has x, dash and busybox have w.
  locks: { letters: 'xw' },
  memlock: { letters: 'l', unit: 1_024 },
  msgqueue: { letters: 'q' },
  nice: { letters: 'e' },
  nofile: { letters: 'n' },
  // bash has u. There, p is the size of pipes.
  nproc: { letters: 'up' },
  rss: { letters: 'm', unit: 1_024 },
  rtprio: { letters: 'r' },
  rttime: { letters: 'R' },
  sigpending: { letters: 'i' },
  stack: { letters: 's', unit: 1_024 }
}

/** Why the shell itself cannot be started at times. */
const temporaryErrors = ['EAGAIN', 'EMFILE', 'ENFILE', 'ENOMEM'] as const

const knownLetters = new Map<string, boolean>()

/** `$0` is the program, and `$@` are its arguments. Throws for a limit that this shell does not know. */
export function ulimitLine(file: string, shell: string, limits: readonly [RlimitName, number][]): string {
  const commands = limits.map(([name, value]) => {
    const { letters = '', unit = 1 } = options[name] ?? {}
    const letter = [...letters].find((one) => knows(file, shell, one))
    if (letter === undefined) {
      const why = `limits.rlimits.${name} cannot be set: there is no prlimit(1), and ${shell} does not know this limit`
      throw limitError(file, 'ENOTSUP', why)
    }
    // Rounded down: what is promised is a limit.
    return `ulimit -${letter} ${Math.floor(value / unit)}`
  })
  return `${commands.join(' && ')} && exec "$0" "$@"`
}

/** Asked once for each letter: that takes as long as the start of a process. */
function knows(file: string, shell: string, letter: string): boolean {
  const key = `${shell} ${letter}`
  let isKnown = knownLetters.get(key)
  if (isKnown === undefined) {
    const { error, status } = spawnSync(shell, ['-c', `ulimit -${letter}`], { stdio: 'ignore' })
    const code = temporaryErrors.find((one) => one === (error as NodeJS.ErrnoException | undefined)?.code)
    // Nothing is known then. The next command asks again.
    if (code !== undefined) throw limitError(file, code)
    isKnown = status === 0
    knownLetters.set(key, isKnown)
  }
  return isKnown
}
