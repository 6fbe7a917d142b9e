/** The ways to start a command in a scope: as a handle, for its output, with a channel, as a stream. */

import type { ChildProcess } from 'node:child_process'
import { SubprocessOptionError } from '../errors.js'
import { ownOf } from '../validate-option.js'
import type { ForkOptions, SpawnOptions, StdioOption } from './command.js'
import { CommandStream, type StreamOptions, splitStreamOptions } from './command-stream.js'
import {
  briefOf,
  collect,
  type ExecOptions,
  type Output,
  type PromiseWithChild,
  splitExecOptions
} from './exec.js'
import { logged } from './logged-promise.js'
import type { Subprocess, SubprocessOf } from './subprocess.js'

interface BufferEncodingOption {
  encoding: 'buffer' | null
}

export abstract class SpawnMethods {
  /** Starts a command. Throws when the scope is closed, and for what is no command. */
  protected abstract launch(command: string, args: readonly string[], options: SpawnOptions): Subprocess

  /** Starts a Node program with a channel for messages. Throws as `launch` does. */
  protected abstract launchFork(
    modulePath: string | URL,
    args: readonly string[],
    options: ForkOptions
  ): Subprocess

  /** What the stream tells may have to be held back. */
  protected abstract watch(stream: CommandStream): void

  /** Called with what would be an unhandled `'error'` event, or an unhandled rejection. */
  protected abstract logUnheard(error: unknown, child: ChildProcess): void

  /**
   * Starts a command, as `child_process.spawn` does. It ends with the scope, with all that it has started.
   *
   * @throws {TypeError} for an argument or option of the wrong shape.
   * @throws {SubprocessError} when the scope is closed: `ERR_SUBPROCESS_DEADLINE`,
   *   `ERR_SUBPROCESS_DISCONNECTED`, `ERR_SUBPROCESS_SHUTDOWN`, `ERR_SUBPROCESS_KEEPER_LOST` or
   *   `ERR_SUBPROCESS_SCOPE_CLOSED`.
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
    const [args, given] = split(argsOrOptions, options)
    return this.launch(command, args, given)
  }

  /**
   * Runs a program to its end and resolves with what it wrote. A rejection that nobody has asked for when it comes, be it
   * of this promise or of one derived from it, is a line in the log and never an unhandled rejection.
   *
   * @throws as `spawn` does, at the call. Rejects with an `ExecError` when the command fails, is ended, or writes
   *   more than `maxBuffer`.
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
    const [args, given] = split(argsOrOptions, options)
    const { run, spawnOptions } = splitExecOptions(given)
    const child = this.launch(file, args, spawnOptions)
    const output = collect(child, [file, ...args].join(' '), run)
    const promise = logged(output, (error) => this.logUnheard(briefOf(error), child))
    return Object.assign(promise, { child })
  }

  /**
   * Runs a line of shell to its end and resolves with what it wrote. Never put unchecked input into it.
   *
   * @throws as `execFile` does.
   */
  exec(command: string, options: ExecOptions & BufferEncodingOption): PromiseWithChild<Output<Buffer>>
  exec(command: string, options?: ExecOptions): PromiseWithChild<Output>
  exec(command: string, options?: ExecOptions): PromiseWithChild<Output<never>> {
    const given = optionsOf(options)
    const inShell = { ...given, shell: given.shell || true }
    return this.execFile(command, [], inShell) as PromiseWithChild<Output<never>>
  }

  /**
   * Starts a Node program with a channel for messages, as `child_process.fork` does. The worker is its parent; the
   * keeper ends it like the rest.
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
    const [args, given] = split(argsOrOptions, options)
    return this.launchFork(modulePath, args, given)
  }

  /**
   * Starts a command as a stream: its standard output, and its standard input unless `input` is given. The stream is
   * destroyed with `ERR_SUBPROCESS_FAILED` when the command fails or is ended, so that a response is an error
   * or is cut off, and never silently short.
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
    const [args, given] = split(argsOrOptions, options)
    const { run, spawnOptions } = splitStreamOptions(given)
    const child = this.launch(command, args, { ...spawnOptions, stdio: 'pipe' })
    const stream = new CommandStream(child, [command, ...args].join(' '), run, (error) =>
      this.logUnheard(error, child)
    )
    this.watch(stream)
    return stream
  }
}

/** The two forms of a call: with arguments, and without. */
function split<Options extends object>(
  argsOrOptions: readonly string[] | Options | null | undefined,
  options: Options | undefined
): [args: readonly string[], options: Options] {
  const isOptions =
    typeof argsOrOptions === 'object' && argsOrOptions !== null && !Array.isArray(argsOrOptions)
  if (isOptions) return [[], ownOf(argsOrOptions as Options)]
  return [(argsOrOptions as readonly string[] | null | undefined) ?? [], optionsOf(options)]
}

/** Throws a TypeError for what is no object. */
function optionsOf<Options extends object>(options: Options | undefined): Options {
  if (options === undefined || options === null) return Object.create(null)
  if (typeof options === 'object' && !Array.isArray(options)) return ownOf(options)
  throw new SubprocessOptionError('options', options, 'give an object; there are no callbacks, but a promise')
}
