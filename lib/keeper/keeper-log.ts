/** The keeper's log: lines of JSON on the worker's standard error, since a dead worker cannot log them. */

import { write } from 'node:fs'
import type { EndedProcess, KeeperReport } from '../wire/messages.js'
import type { WorkerInfo } from '../wire/worker-info.js'
import type { HookFailure } from './hook-modules.js'

// The levels of pino, as in the lines of the worker.
const warnLevel = 40
const errorLevel = 50
const maxProcessesNamed = 50
// The worker's standard error may be a pipe that nothing reads any more.
const writtenWithinMs = 1_000

export class KeeperLog {
  readonly #worker: number
  #isStuck = false

  /** `worker` is the pid that each line names. */
  constructor(worker: number) {
    this.#worker = worker
  }

  /** Whether a line is still being written. libuv's thread would keep the process from exiting. */
  get isStuck(): boolean {
    return this.#isStuck
  }

  /** Everything was ended. `cause`: the worker is gone, or the keeper has failed. */
  async logEnd(cause: string, report: KeeperReport, durationMs: number): Promise<void> {
    const fields = { durationMs: Math.round(durationMs), ...reportFields(report) }
    await this.#logReport(levelOf(report), fields, cause, report)
  }

  /** The worker hung. */
  async logHungWorker(info: WorkerInfo, report: KeeperReport): Promise<void> {
    const { worker, silentMs, stack, whyNoStack, route } = info
    const stackFields = stack === undefined ? { whyNoStack } : { stack }
    const cause = `worker ${worker} hung for ${silentMs} ms${route === undefined ? '' : ` in ${route}`}`
    await this.#logReport(
      errorLevel,
      { silentMs, route, ...stackFields, ...reportFields(report) },
      cause,
      report
    )
  }

  /** Processes of unknown origin were ended. */
  logStrays(processes: readonly EndedProcess[]): void {
    const report = { processes, leftFolders: [] }
    const cause = 'processes that belong to no open scope'
    void this.#logReport(levelOf(report), reportFields(report), cause, report)
  }

  logHookFailure({ url, hook, why }: HookFailure): void {
    void this.#write({ level: errorLevel, url, hook, why, msg: `the hook ${hook} failed` })
  }

  async #logReport(level: number, fields: object, cause: string, { processes }: KeeperReport): Promise<void> {
    const survived = processes.filter(({ ended }) => ended === 'survived').length
    const msg = `${cause}: ended ${processes.length - survived} processes, ${survived} survived`
    await this.#write({ level, ...fields, msg })
  }

  /** Resolves when the line is written, or after 1 s: then nothing seems to read it. */
  #write({ level, msg, ...fields }: { level: number; msg: string; [field: string]: unknown }): Promise<void> {
    const line = {
      level,
      time: Date.now(),
      pid: process.pid,
      name: 'fastify-subprocess-guard',
      worker: this.#worker,
      ...fields,
      msg
    }
    return new Promise((resolve) => {
      const timeout = setTimeout(() => {
        this.#isStuck = true
        resolve()
      }, writtenWithinMs)
      write(2, `${JSON.stringify(line)}\n`, () => {
        clearTimeout(timeout)
        this.#isStuck = false
        resolve()
      })
    })
  }
}

function levelOf({ processes, leftFolders }: KeeperReport): number {
  const isError = leftFolders.length > 0 || processes.some(({ ended }) => ended === 'survived')
  return isError ? errorLevel : warnLevel
}

/** Survivors come first, since somebody has to deal with them. */
function reportFields({ processes, leftFolders }: KeeperReport): object {
  const survivors = processes.filter(({ ended }) => ended === 'survived')
  const others = processes.filter(({ ended }) => ended !== 'survived')
  return {
    processes: [...survivors, ...others].slice(0, maxProcessesNamed),
    ...(leftFolders.length === 0 ? {} : { leftFolders })
  }
}
