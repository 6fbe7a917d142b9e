/**
 * The level `job`: each command is in a job object of its own, from its first instruction. No process leaves it,
 * and when the keeper dies, the kernel ends them all.
 */

import type { ContainedCommand, Container, ContainerEvents, Containers } from '../containers.js'
import type { ProcessStat, ProcessUsage } from '../platform.js'
import { unknownUsage } from '../unknown-usage.js'
import { AdoptedProcesses } from './adopted-processes.js'
import { statOf } from './process-list.js'
import type { WindowsCalls } from './windows-calls.js'
import type { Handle } from './windows-library.js'

// That of a process that Node.js ends, too.
const killedExitCode = 1
/** The system starts it for a program with a console, and it ends with the last one. */
const consoleHost = 'conhost.exe'
/** With these codes Node.js emits an error that names the command. It throws the others. */
const emittedCodes = new Set(['EACCES', 'EAGAIN', 'EMFILE', 'ENFILE', 'ENOENT'])

export function jobContainers(calls: WindowsCalls): Containers {
  return {
    containment: 'job',
    makePrivatePipe: (path) => calls.makePrivatePipe(path),
    start: (command, events) => start(calls, command, events),
    adopt: (pid) => AdoptedProcesses.adopt(pid, (process) => contain(calls, process))
  }
}

function start(
  calls: WindowsCalls,
  { stdio, ...command }: ContainedCommand,
  events: ContainerEvents
): Container | undefined {
  const job = calls.createJob()
  const handles = stdio.map((stream) => (typeof stream === 'number' ? calls.handleOf(stream) : stream))
  const result = calls.startProcess({ ...command, stdio: handles, job })
  if ('code' in result) {
    calls.closeHandle(job)
    const { code, errno } = result
    const message = emittedCodes.has(code) ? `spawn ${command.file} ${code}` : `spawn ${code}`
    events.failed({ code, errno, message })
    return undefined
  }
  return new JobContainer(calls, job, result.pid, result.process, (code, signal, usage) =>
    events.exited(code, signal, usage)
  )
}

/** Puts a running process into a job of its own. Undefined if it has ended or may not be ended. */
function contain(calls: WindowsCalls, pid: number): Container | undefined {
  const process = calls.openProcess(pid, true)
  if (process === undefined) return undefined
  if (!calls.hasEnded(process)) {
    const job = calls.createJob()
    try {
      calls.assignToJob(job, process)
      return new JobContainer(calls, job, pid, process)
    } catch {
      calls.closeHandle(job)
      // A job that it is in forbids it.
      if (!calls.hasEnded(process)) return new HeldProcess(calls, pid, process)
    }
  }
  calls.closeHandle(process)
  return undefined
}

/** A process that cannot join a job: it is ended by its handle, and what it has started is left alone. */
class HeldProcess implements Container {
  readonly pid: number
  readonly #calls: WindowsCalls
  readonly #process: Handle

  constructor(calls: WindowsCalls, pid: number, process: Handle) {
    this.#calls = calls
    this.pid = pid
    this.#process = process
  }

  members(): ProcessStat[] {
    return this.isEmpty() ? [] : [statOf(this.pid)].filter((stat) => stat !== undefined)
  }

  isEmpty(): boolean {
    return this.#calls.hasEnded(this.#process)
  }

  usage(): undefined {}

  requestEnd(): boolean {
    return this.#calls.closeWindows(new Set([this.pid])) > 0
  }

  kill(): void {
    this.#calls.terminate(this.#process, killedExitCode)
  }

  killLeader(): void {
    this.kill()
  }

  leaderExited(): void {}

  release(): void {}

  close(): void {
    this.#calls.closeHandle(this.#process)
  }
}

class JobContainer implements Container {
  readonly pid: number
  readonly #calls: WindowsCalls
  readonly #job: Handle
  readonly #leadsGroup: boolean
  /** Undefined when the leader has exited. */
  #process: Handle | undefined
  /** What has ended the leader, if it was killed. */
  #signal: NodeJS.Signals | null = null

  constructor(
    calls: WindowsCalls,
    job: Handle,
    pid: number,
    process: Handle,
    onExit?: ContainerEvents['exited']
  ) {
    this.#calls = calls
    // One that was adopted has not been started as the leader of a group, which Ctrl-Break goes to.
    this.#leadsGroup = onExit !== undefined
    this.#job = job
    this.pid = pid
    this.#process = process
    calls.onceEnded(process, () => {
      this.#process = undefined
      const code = calls.exitCodeOf(process)
      calls.closeHandle(process)
      onExit?.(this.#signal === null ? code : null, this.#signal, this.usage())
    })
  }

  members(): ProcessStat[] {
    const stats = this.#calls.jobPids(this.#job).flatMap((pid) => statOf(pid) ?? [])
    return stats.filter(({ name }) => name !== consoleHost)
  }

  isEmpty(): boolean {
    return this.#process === undefined && this.#calls.countActive(this.#job) === 0
  }

  usage(): ProcessUsage {
    const { userUs, systemUs, pageFaults, peakProcessBytes } = this.#calls.jobUsage(this.#job)
    const maxRssKb = Math.round(peakProcessBytes / 1_024)
    return { ...unknownUsage, userUs, systemUs, maxRssKb, minorFaults: pageFaults }
  }

  requestEnd(): boolean {
    if (this.#leadsGroup && this.#process !== undefined && this.#calls.sendBreak(this.pid)) return true
    return this.#calls.closeWindows(new Set(this.#calls.jobPids(this.#job))) > 0
  }

  kill(): void {
    if (this.#process !== undefined && !this.#calls.hasEnded(this.#process)) this.#signal = 'SIGKILL'
    this.#calls.terminateJob(this.#job, killedExitCode)
  }

  killLeader(signal: NodeJS.Signals): void {
    if (this.#process !== undefined && this.#calls.terminate(this.#process, killedExitCode))
      this.#signal = signal
  }

  leaderExited(): void {}

  release(): void {
    this.#calls.keepWhenClosed(this.#job)
  }

  close(): void {
    this.#calls.closeHandle(this.#job)
  }
}
