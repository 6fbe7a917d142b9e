/**
 * The level `tree`: without native calls, a command is ended by `taskkill`, with those descendants whose parents
 * still run. What a command leaves behind when it exits is not found.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import type { ContainedCommand, Container, ContainerEvents, Containers } from '../containers.js'
import type { ProcessStat } from '../platform.js'
import { killTree, signalByPid } from './end-process.js'
import { statFrom, statOf } from './process-list.js'

// What `taskkill /F` makes the exit code of a process.
const taskkillCode = 1

/** `why`: why there is no better level. */
export function treeContainers(why: string): Containers {
  return {
    containment: 'tree',
    why,
    start(command, events) {
      try {
        return startTree(command, events)
      } catch (error) {
        // Node throws what it considers a mistake of the caller, such as EINVAL for a batch file.
        events.failed(failureOf(error))
        return undefined
      }
    },
    adopt: (pid) => (statOf(pid) === undefined ? undefined : new AdoptedTree(pid))
  }
}

/** Node puts the process into a job of its own: when the keeper is killed, at least this process ends. */
function startTree(
  { file, args, stdio, ...options }: ContainedCommand,
  events: ContainerEvents
): Container | undefined {
  const child = spawn(file, args.slice(1), {
    ...options,
    argv0: args[0] ?? file,
    stdio: [...stdio],
    // The keeper has no console, so the command would open one in a window.
    windowsHide: true
  })
  if (child.pid === undefined) {
    child.once('error', (error) => events.failed(failureOf(error)))
    return undefined
  }
  const tree = new StartedTree(child, child.pid)
  // It could not be killed: it has ended, or the report of its scope will name it.
  child.on('error', () => {})
  child.once('exit', (code, signal) => {
    tree.hasEnded = true
    if (tree.isKilled && code === taskkillCode) events.exited(null, 'SIGKILL', undefined)
    else events.exited(code, signal, undefined)
  })
  return tree
}

abstract class Tree implements Container {
  readonly pid: number
  readonly #startedAt = Date.now()
  /** Whether `taskkill` has been asked to end it. */
  isKilled = false
  #isKilling = false

  constructor(pid: number) {
    this.pid = pid
  }

  abstract readonly hasEnded: boolean

  abstract killLeader(signal: NodeJS.Signals): void

  members(): ProcessStat[] {
    return this.hasEnded ? [] : [statFrom({ pid: this.pid, createdAt: this.#startedAt })]
  }

  isEmpty(): boolean {
    return this.hasEnded && !this.#isKilling
  }

  usage(): undefined {}

  /** A process without a window cannot be asked by `taskkill`. */
  requestEnd(): boolean {
    return false
  }

  kill(): void {
    if (this.#isKilling || this.hasEnded) return
    this.#isKilling = true
    this.isKilled = true
    void killTree(this.pid).then(() => {
      this.#isKilling = false
      // At least the leader, in case there is no working `taskkill`.
      if (!this.hasEnded) this.killLeader('SIGKILL')
    })
  }

  leaderExited(): void {}

  release(): void {
    throw new Error('Node.js ends it with the keeper')
  }

  close(): void {}
}

class StartedTree extends Tree {
  override hasEnded = false
  readonly #child: ChildProcess

  constructor(child: ChildProcess, pid: number) {
    super(pid)
    this.#child = child
  }

  killLeader(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }
}

/** Without native calls, a process that took the pid of an ended one cannot be told from it. */
class AdoptedTree extends Tree {
  #hasExited = false

  override get hasEnded(): boolean {
    this.#hasExited ||= statOf(this.pid) === undefined
    return this.#hasExited
  }

  override leaderExited(): void {
    this.#hasExited = true
  }

  killLeader(): void {
    signalByPid(this.pid, 'SIGKILL', () => !this.hasEnded)
  }
}

function failureOf(error: unknown): Parameters<ContainerEvents['failed']>[0] {
  const { code = 'UNKNOWN', errno, message } = error as NodeJS.ErrnoException
  return { code, message, ...(errno === undefined ? {} : { errno }) }
}
