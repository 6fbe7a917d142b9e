/** The methods that start a command in a scope: `spawn`, `execFile`, `exec`, `fork` and `stream`. */

import type { ChildProcess } from 'node:child_process'
import { SubprocessOptionError } from '../errors.js'
import { ownOf } from '../validate-option.js'
import { collectOutput, type Output } from './collect-output.js'
import { CommandStream } from './command-stream.js'
import { abridgedForLog } from './exec-error.js'
import { type ExecOptions, splitExecOptions } from './exec-options.js'
import { logIfUnhandled } from './logged-promise.js'
import type { ForkOptions, SpawnOptions, StdioOption } from './spawn-options.js'
import { type StreamOptions, splitStreamOptions } from './stream-options.js'
import type { Subprocess, SubprocessOf } from './subprocess.js'

/** The promise of a command's output. `child` is the command. */
export type PromiseWithChild<Result> = Promise<Result> & { readonly child: Subprocess }

interface BufferEncodingOption {
  encoding: 'buffer' | null
}

/** Checks the arguments of each method. The scope starts the command. */
export abstract class SpawnMethods {
  /** Starts a command. Throws if the scope is closed or an argument or option is invalid. */
  protected abstract launch(command: string, args: readonly string[], options: SpawnOptions): Subprocess

  /** Starts a Node program with a channel for messages. Throws as `launch` does. */
  protected abstract launchFork(
    modulePath: string | URL,
    args: readonly string[],
    options: ForkOptions
  ): Subprocess

  /** Registers a stream, whose events are held back while the scope closes. */
  protected abstract watch(stream: CommandStream): void

  /** Logs what otherwise would be an unhandled `'error'` event or an unhandled rejection. */
  protected abstract logUnheard(error: unknown, child: ChildProcess): void

  /**
   * Starts a command, as `child_process.spawn` does. The command and its process tree end with the scope.
   *
   * @throws {TypeError} if an argument or option is invalid.
   * @throws {SubprocessError} if the scope is closed: `ERR_SUBPROCESS_DEADLINE`,
   *   `ERR_SUBPROCESS_DISCONNECTED`, `ERR_SUBPROCESS_SHUTDOWN`, `ERR_SUBPROCESS_KEEPER_LOST` or
   *   `ERR_SUBPROCESS_SCOPE_CLOSED`. Or if it would have to wait and must not: `ERR_SUBPROCESS_BUSY`.
   */
  spawn<const S extends StdioOption | undefined = 'pipe'>(
    command: string,
    options?: SpawnOptions<S>
  ): SubprocessOf<S>
  spawn<const S extends StdioOption | undefined = 'pipe'>(
    command: string,
    args?: readonly string[] | null,
    options?: SpawnOptions<S>
  ): SubprocessOf<S>
  spawn(
    command: string,
    argsOrOptions?: readonly string[] | SpawnOptions | null,
    options?: SpawnOptions
  ): Subprocess {
    const [args, given] = splitArguments(argsOrOptions, options)
    return this.launch(command, args, given)
  }

  /**
   * Runs a program to its end and resolves with its output. A rejection that nobody handles, of this
   * promise or of one derived from it, is logged and never becomes an unhandled rejection.
   *
   * @throws as `spawn` does, at the call. The promise rejects with an `ExecError` if the command fails, is
   *   ended, or writes more than `maxBuffer`.
   */
  execFile(file: string, options: ExecOptions & BufferEncodingOption): PromiseWithChild<Output<Buffer>>
  execFile(
    file: string,
    args: readonly string[] | null | undefined,
    options: ExecOptions & BufferEncodingOption
  ): PromiseWithChild<Output<Buffer>>
  execFile(file: string, options?: ExecOptions): PromiseWithChild<Output>
  execFile(file: string, args?: readonly string[] | null, options?: ExecOptions): PromiseWithChild<Output>
  execFile(
    file: string,
    argsOrOptions?: readonly string[] | ExecOptions | null,
    options?: ExecOptions
  ): PromiseWithChild<Output<never>> {
    const [args, given] = splitArguments(argsOrOptions, options)
    const { collectOptions, spawnOptions } = splitExecOptions(given)
    const child = this.launch(file, args, spawnOptions)
    const output = collectOutput(child, [file, ...args].join(' '), collectOptions)
    const promise = logIfUnhandled(output, (error) => this.logUnheard(abridgedForLog(error), child))
    return Object.assign(promise, { child })
  }

  /**
   * Runs a shell command line to its end and resolves with its output. Never put unchecked input into it.
   *
   * @throws as `execFile` does.
   */
  exec(command: string, options: ExecOptions & BufferEncodingOption): PromiseWithChild<Output<Buffer>>
  exec(command: string, options?: ExecOptions): PromiseWithChild<Output>
  exec(command: string, options?: ExecOptions): PromiseWithChild<Output<never>> {
    const given = checkedOptions(options)
    const inShell = { ...given, shell: given.shell || true }
    return this.execFile(command, [], inShell) as PromiseWithChild<Output<never>>
  }

  /**
   * Starts a Node program with a channel for messages, as `child_process.fork` does. The worker is its
   * parent, and the keeper ends it like any other command.
   *
   * @throws as `spawn` does.
   */
  fork(modulePath: string | URL, options?: ForkOptions): Subprocess
  fork(modulePath: string | URL, args?: readonly string[] | null, options?: ForkOptions): Subprocess
  fork(
    modulePath: string | URL,
    argsOrOptions?: readonly string[] | ForkOptions | null,
    options?: ForkOptions
  ): Subprocess {
    const [args, given] = splitArguments(argsOrOptions, options)
    return this.launchFork(modulePath, args, given)
  }

  /**
   * Starts a command as a stream: readable is its standard output, writable its standard input, unless
   * `input` is given. If the command fails or is ended, the stream is destroyed with `ERR_SUBPROCESS_FAILED`:
   * an HTTP response becomes an error or is cut off, and is never silently incomplete.
   *
   * @throws as `spawn` does.
   */
  stream(command: string, options?: StreamOptions): CommandStream
  stream(command: string, args?: readonly string[] | null, options?: StreamOptions): CommandStream
  stream(
    command: string,
    argsOrOptions?: readonly string[] | StreamOptions | null,
    options?: StreamOptions
  ): CommandStream {
    const [args, given] = splitArguments(argsOrOptions, options)
    const { streamSettings, spawnOptions } = splitStreamOptions(given)
    const child = this.launch(command, args, { ...spawnOptions, stdio: 'pipe' })
    const stream = new CommandStream(child, [command, ...args].join(' '), streamSettings, (error) =>
      this.logUnheard(error, child)
    )
    this.watch(stream)
    return stream
  }
}

/** Resolves the two forms of a call: with `args` and without. */
function splitArguments<Options extends object>(
  argsOrOptions: readonly string[] | Options | null | undefined,
  options: Options | undefined
): [args: readonly string[], options: Options] {
  const isOptions =
    typeof argsOrOptions === 'object' && argsOrOptions !== null && !Array.isArray(argsOrOptions)
  if (isOptions) return [[], ownOf(argsOrOptions as Options)]
  return [(argsOrOptions as readonly string[] | null | undefined) ?? [], checkedOptions(options)]
}

/** The options without inherited ones. Throws a TypeError if they are no object. */
function checkedOptions<Options extends object>(options: Options | undefined): Options {
  if (options === undefined || options === null) return Object.create(null)
  if (typeof options === 'object' && !Array.isArray(options)) return ownOf(options)
  throw new SubprocessOptionError('options', options, 'give an object (a callback is not supported)')
}
