/** The keeper's lines on the worker's standard error: when there is something to say, no worker is left to log it. */

import { write } from 'node:fs'
import type { EndedProcess, KeeperReport } from '../wire/messages.js'
import type { WorkerInfo } from '../wire/worker-info.js'
import type { HookFailure } from './hook-modules.js'

// The levels of pino, so that a line reads like the worker's own.
const warnLevel = 40
const errorLevel = 50
const mostProcessesNamed = 50
// The worker's standard error may be a pipe that nobody reads any more.
const lineWithinMs = 1_000

/** Says them of one worker. */
export class KeeperLog {
  readonly #worker: number
  #isStuck = false

  constructor(worker: number) {
    this.#worker = worker
  }

  /** Whether a line is still being written, by a thread for which the process would wait at its exit. */
  get isStuck(): boolean {
    return this.#isStuck
  }

  /** That all was ended since the worker is gone, or the keeper has failed. */
  async ended(cause: string, report: KeeperReport, durationMs: number): Promise<void> {
    await this.#say(levelOf(report), { durationMs: Math.round(durationMs), ...named(report) }, cause, report)
  }

  /** That the worker hung. */
  async hung(
    { worker, silentMs, stack, whyNoStack, route }: WorkerInfo,
    report: KeeperReport
  ): Promise<void> {
    const where = stack === undefined ? { whyNoStack } : { stack }
    const cause = `worker ${worker} hung for ${silentMs} ms${route === undefined ? '' : ` in ${route}`}`
    await this.#say(errorLevel, { silentMs, route, ...where, ...named(report) }, cause, report)
  }

  strays(processes: readonly EndedProcess[]): void {
    const report = { processes, leftFolders: [] }
    void this.#say(levelOf(report), named(report), 'processes that belong to no open scope', report)
  }

  hookFailed({ url, hook, why }: HookFailure): void {
    void this.#write({ level: errorLevel, url, hook, why, msg: `the hook ${hook} failed` })
  }

  async #say(level: number, fields: object, cause: string, { processes }: KeeperReport): Promise<void> {
    const survived = processes.filter(({ ended }) => ended === 'survived').length
    const msg = `${cause}: ended ${processes.length - survived} processes, ${survived} survived`
    await this.#write({ level, ...fields, msg })
  }

  /** Resolves when the line is written, or cannot be for so long that nobody seems to read it. */
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
      const late = setTimeout(() => {
        this.#isStuck = true
        resolve()
      }, lineWithinMs)
      write(2, `${JSON.stringify(line)}\n`, () => {
        clearTimeout(late)
        this.#isStuck = false
        resolve()
      })
    })
  }
}

function levelOf({ processes, leftFolders }: KeeperReport): number {
  const isBad = leftFolders.length > 0 || processes.some(({ ended }) => ended === 'survived')
  return isBad ? errorLevel : warnLevel
}

/** Survivors first: they are what somebody has to look after. */
function named({ processes, leftFolders }: KeeperReport): object {
  const survivors = processes.filter(({ ended }) => ended === 'survived')
  const others = processes.filter(({ ended }) => ended !== 'survived')
  return {
    processes: [...survivors, ...others].slice(0, mostProcessesNamed),
    ...(leftFolders.length === 0 ? {} : { leftFolders })
  }
}
