/** The public type of a command that runs in a scope. */

import type { ChildProcess } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import type { SubprocessUsage } from './resource-usage.js'
import type { StdioEntry, StdioOption } from './spawn-options.js'
import type { TerminationReport } from './termination-report.js'

type StreamAbove2 = Readable | Writable | null | undefined

/**
 * A command that runs in a scope: a `ChildProcess`, whether the keeper or the worker started it. If the
 * keeper started it, there are these differences: `pid` is unknown before `'spawn'`. An `'error'` without a
 * listener is logged. `'close'` does not wait for a grandchild that holds the standard streams open, or for
 * at most 1 s if that goes on writing. See `docs/child-process.md`.
 */
export interface Subprocess<
  In extends Writable | null = Writable | null,
  Out extends Readable | null = Readable | null,
  Err extends Readable | null = Readable | null
> extends ChildProcess {
  stdin: In
  stdout: Out
  stderr: Err
  readonly stdio: [In, Out, Err, StreamAbove2, StreamAbove2]
  /**
   * What the command has used, with those of its descendants that have ended and were waited for. While it runs,
   * this reads the process, on Linux only. After the exit, it is what the system has counted. Undefined before
   * `'spawn'`, and where the system does not tell.
   *
   * After the exit of a command with a direct launch, it is what the last call before the exit returned, because
   * Node.js does not tell more. After the exit, `maxRSS` is 0 (unknown) if it was not more than the memory of the
   * keeper, about 50,000 kB: Linux counts that as the command's. Without the optional dependency it is always unknown.
   */
  resourceUsage(): SubprocessUsage | undefined
  /**
   * Ends the command and its process tree, whether its own process has exited or not. Sends its `killSignal`
   * to the processes that `firstSignalTo` selects, and SIGKILL after the grace period of its scope. Resolves
   * when all processes are gone or reported as survivors; never rejects. Other commands of the scope go on.
   * (`kill()` signals the process only.)
   *
   * One kind of process is not found: a daemon that has left its session, emptied its environment, and whose
   * ancestors have exited. It cannot be assigned to a command, and ends with the scope. If the command was
   * released, only its own process is ended.
   */
  terminate(): Promise<TerminationReport>
  /** Ends the command as `terminate()` does, and waits for it. */
  [Symbol.asyncDispose](): Promise<void>
}

/** The type of a subprocess for a value of `options.stdio`, which decides which of its streams are null. */
export type SubprocessOf<S extends StdioOption | undefined> = Subprocess<
  StreamOf<S, '0', Writable>,
  StreamOf<S, '1', Readable>,
  StreamOf<S, '2', Readable>
>

type StreamOf<S, Index extends string, Piped> = S extends readonly StdioEntry[]
  ? number extends S['length']
    ? Piped | null
    : StreamOfEntry<Index extends keyof S ? S[Index] : undefined, Piped>
  : StreamOfEntry<S, Piped>

type StreamOfEntry<Entry, Piped> = Entry extends 'pipe' | 'overlapped' | null | undefined ? Piped : null
