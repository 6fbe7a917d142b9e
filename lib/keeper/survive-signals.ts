/** Makes the keeper survive signals that a terminal or a tool such as nodemon sends to the whole tree. */

import { constants } from 'node:os'

/**
 * Catches every signal that would end or stop this process, except those that cannot be caught, and those
 * that a fault of the process itself raises (signal(7)). The signals are caught and not ignored: the
 * processes that the keeper starts would inherit that they are ignored.
 */
export function surviveSignals(): void {
  for (const signal of survivableSignals()) process.on(signal, () => {})
}

function survivableSignals(): NodeJS.Signals[] {
  // Node opens its inspector on SIGUSR1.
  const harmless = ['SIGCHLD', 'SIGCONT', 'SIGPIPE', 'SIGURG', 'SIGUSR1', 'SIGWINCH', 'SIGXFSZ']
  const faults = [
    'SIGABRT',
    'SIGBUS',
    'SIGFPE',
    'SIGILL',
    'SIGIOT',
    'SIGSEGV',
    'SIGSYS',
    'SIGTRAP',
    'SIGUNUSED'
  ]
  const others = new Set([...harmless, ...faults, 'SIGKILL', 'SIGSTOP'])
  return (Object.keys(constants.signals) as NodeJS.Signals[]).filter((signal) => !others.has(signal))
}
