/** Three ways to start a command, with one interface: by Node itself, by the keeper, and by direct launch. */

import assert from 'node:assert/strict'
import {
  type ChildProcess,
  exec,
  execFile,
  type ForkOptions,
  fork,
  type SpawnOptions,
  spawn
} from 'node:child_process'
import { after, before, suite } from 'node:test'
import { promisify } from 'node:util'
import { createGuard, type ExecError, type Guard, type Scope } from 'fastify-subprocess-guard'
import { eventually } from './expectations.js'
import { childrenOf } from './proc.js'

type LauncherName = 'node' | 'keeper' | 'direct'

/**
 * The known differences of the three, with what each one does.
 * `docs/child-process.md` names all of them; a test checks that.
 */
export const differences = {
  '`pid` before `spawn`': { node: 'number', keeper: 'undefined', direct: 'number' },
  '`_handle` of the child': { node: 'object', keeper: 'undefined', direct: 'object' },
  '`options` is `null`': { node: 'throws', keeper: 'left out', direct: 'left out' },
  '`kill()` before a failed start is known': { node: false, keeper: true, direct: false },
  'start refused with E2BIG': { node: 'throws', keeper: 'error', direct: 'throws' },
  '`error` without a listener': { node: 'throws', keeper: 'logs', direct: 'logs' },
  'stdin `error` without a listener': { node: 'throws', keeper: 'logs', direct: 'logs' },
  '`close` while a grandchild holds stdout': { node: 'waits', keeper: 'comes', direct: 'comes' },
  '`detached: true`': { node: 'accepted', keeper: 'refused', direct: 'refused' },
  '`code` of a wrong option': {
    node: ['ERR_INVALID_ARG_TYPE', 'ERR_INVALID_ARG_VALUE', 'ERR_OUT_OF_RANGE', 'ERR_UNKNOWN_SIGNAL'],
    keeper: ['ERR_SUBPROCESS_OPTION'],
    direct: [
      'ERR_INVALID_ARG_TYPE',
      'ERR_INVALID_ARG_VALUE',
      'ERR_OUT_OF_RANGE',
      'ERR_UNKNOWN_SIGNAL',
      'ERR_SUBPROCESS_OPTION'
    ]
  },
  'end by a signal without a name in Node': {
    node: 'status 0',
    keeper: 'status above 128',
    direct: 'status 0'
  },
  'output read before it is given away': { node: 'lost', keeper: 'kept', direct: 'lost' },
  'array for `stdio` shorter than three': { node: 'filled up', keeper: 'left alone', direct: 'left alone' },
  'variables added to the environment': {
    node: [],
    keeper: ['SUBPROCESS_GUARD_MARK', 'SUBPROCESS_GUARD_COMMAND'],
    direct: ['SUBPROCESS_GUARD_MARK', 'SUBPROCESS_GUARD_COMMAND']
  },
  'what `timeout`, `signal` and `maxBuffer` end': {
    node: 'the command alone',
    keeper: 'its whole tree',
    direct: 'its whole tree'
  },
  'process group': { node: 'the worker’s', keeper: 'its own', direct: 'its own' },
  'status of a script that becomes `setsid`': { node: 3, keeper: 0, direct: 0 },
  'parent of the process': { node: 'worker', keeper: 'keeper', direct: 'worker' },
  '`execFile` without `input`': { node: 'stdin open', keeper: 'stdin ended', direct: 'stdin ended' },
  '`execFile` with an unknown `encoding`': { node: 'Buffer', keeper: 'refused', direct: 'refused' },
  '`message` of a failed `execFile`': {
    node: 'command line and stderr',
    keeper: 'program and end',
    direct: 'program and end'
  },
  '`killed` and `signal` of every `execFile` error': { node: 'some', keeper: 'all', direct: 'all' }
} satisfies Record<string, Record<LauncherName, unknown>>

type ExecOptions = Record<string, unknown>
type Run = Promise<{ stdout: string | Buffer; stderr: string | Buffer }> & { child: ChildProcess }

/** The functions of `node:child_process` with the types of Node, for each launcher. */
export class SpawnMethods {
  readonly name: LauncherName
  guard: Guard | undefined
  scope: Scope | undefined
  readonly #children: ChildProcess[] = []
  /** The lines that the guard has logged. */
  readonly log: { message: string; err?: unknown }[] = []

  constructor(name: LauncherName) {
    this.name = name
  }

  async open(): Promise<void> {
    if (this.name === 'node') return
    const keep = (fields: object, message: string): void => void this.log.push({ ...fields, message })
    const logger = { info: keep, warn: keep, error: keep }
    this.guard = await createGuard({ grace: 300, launch: this.name, logger })
    this.scope = this.guard.open({ timeout: false })
  }

  /** Asserts that nothing is left of what was started. */
  async close(): Promise<void> {
    const { guard, scope } = this
    if (guard === undefined || scope === undefined) return
    // A test may end with the last output of a command, before the command has ended.
    await eventually('every child has ended', () => this.#children.every(hasEnded))
    assert.deepEqual((await scope.close()).processes, [])
    await eventually('the keeper has no child', () => childrenOf(guard.keeper).length === 0)
    await guard.close()
  }

  spawn(command: string, args?: readonly string[] | SpawnOptions, options?: SpawnOptions): ChildProcess {
    const start = (this.scope?.spawn.bind(this.scope) ?? spawn) as typeof spawn
    return this.#keep(
      args === undefined && options === undefined
        ? start(command)
        : start(command, args as readonly string[], options as SpawnOptions)
    )
  }

  fork(modulePath: string, args: readonly string[] = [], options: ForkOptions = {}): ChildProcess {
    const start = (this.scope?.fork.bind(this.scope) ?? fork) as typeof fork
    return this.#keep(start(modulePath, args, options))
  }

  execFile(file: string, args: readonly string[] = [], options: ExecOptions = {}): Run {
    const start = (this.scope?.execFile.bind(this.scope) ?? promisify(execFile)) as typeof this.execFile
    return this.#keepRun(start(file, args, options))
  }

  exec(command: string, options: ExecOptions = {}): Run {
    const start = (this.scope?.exec.bind(this.scope) ?? promisify(exec)) as typeof this.exec
    return this.#keepRun(start(command, options))
  }

  /** What this launcher does in a case where the three differ. */
  does(difference: keyof typeof differences): unknown {
    return differences[difference][this.name]
  }

  #keepRun(run: Run): Run {
    this.#keep(run.child)
    return run
  }

  #keep(child: ChildProcess): ChildProcess {
    this.#children.push(child)
    return child
  }
}

/** A child that could not be started has no pid. */
function hasEnded({ pid, exitCode, signalCode }: ChildProcess): boolean {
  return pid === undefined || exitCode !== null || signalCode !== null
}

/** Runs the same tests for each launcher. */
export function forEachLauncher(body: (launcher: SpawnMethods) => void): void {
  for (const name of ['node', 'keeper', 'direct'] as const) {
    suite(`by ${name}`, () => {
      const launcher = new SpawnMethods(name)
      before(() => launcher.open())
      after(() => launcher.close())
      body(launcher)
    })
  }
}

/** Resolves at `'close'` with all events of a child and their arguments, in order. */
export async function eventsOf(child: ChildProcess): Promise<[string, ...unknown[]][]> {
  const events: [string, ...unknown[]][] = []
  for (const name of ['spawn', 'error', 'message', 'disconnect', 'exit', 'close']) {
    child.on(name, (...args: unknown[]) => events.push([name, ...args]))
  }
  await closed(child)
  return events
}

/** Resolves at `'close'`, also after an `'error'`. */
export function closed(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => child.once('close', () => resolve()))
}

/** The error that a run rejects with. */
export async function failureOf(run: Promise<unknown>): Promise<ExecError & NodeJS.ErrnoException> {
  try {
    await run
  } catch (error) {
    return error as never
  }
  return assert.fail('it did not fail')
}
