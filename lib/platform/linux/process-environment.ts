/** Reads the environment that a process was started with. */

import { isInExec } from './process-stat.js'
import { readProc } from './read-proc.js'

// The moment without an environment takes about 100 µs, and longer if the loader has to be read from a disk.
const execWaitMs = 0.1
const maxExecWaits = 50
// Nothing ever changes or notifies it: a wait on it is a sleep.
const sleepCell = new Int32Array(new SharedArrayBuffer(4))

/** The value of a variable. Undefined if unset or hidden. */
export function environmentOf(pid: number, name: string): string | undefined {
  const text = environmentTextOf(pid)
  return text === undefined ? undefined : variableIn(text, name)
}

/** The whole environment: entries that end with a NUL byte (proc_pid_environ(5)). Undefined if hidden. */
export function environmentTextOf(pid: number): string | undefined {
  const path = `/proc/${pid}/environ`
  let text = readProc(path)
  // During an exec there is a moment when the new program is in memory and its environment is not. Wait until
  // it has passed.
  for (let waits = 0; text === '' && waits < maxExecWaits; waits++) {
    // Check before the next read: a program that had its code by then had its environment too.
    const wasInExec = isInExec(pid)
    if (wasInExec) Atomics.wait(sleepCell, 0, 0, execWaitMs)
    text = readProc(path)
    if (!wasInExec) break
  }
  return text
}

/** The value of a variable in such a text. */
export function variableIn(environmentText: string, name: string): string | undefined {
  const entry = `${name}=`
  const start = environmentText.startsWith(entry) ? 0 : environmentText.indexOf(`\0${entry}`) + 1
  if (!environmentText.startsWith(entry, start)) return undefined
  const end = environmentText.indexOf('\0', start)
  return environmentText.slice(start + entry.length, end === -1 ? undefined : end)
}
