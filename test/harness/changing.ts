/** A server in its own process, whose rights a test changes (`rights-main.ts`). */

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { end, identityOf, isAlive } from './proc.js'
import { Witness } from './witness.js'

const entry = fileURLToPath(new URL('./rights-main.js', import.meta.url))

export class Changing {
  readonly witness = new Witness()
  readonly process: ChildProcess
  /** Its directory for temporary files, in which every user may create some. */
  readonly tmp = mkdtempSync(join(tmpdir(), 'c-'))
  readonly #keepers = new Set<ReturnType<typeof identityOf>>()
  #lastId = 0

  constructor(t: Pick<TestContext, 'after'>, options: object = {}) {
    chmodSync(this.tmp, 0o1777)
    this.process = fork(entry, {
      env: { ...this.witness.env, TMPDIR: this.tmp, GUARD_OPTIONS: JSON.stringify(options) },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc']
    })
    t.after(() => this.#close())
  }

  /** Runs an act in the server and resolves with its result. */
  async ask<Result>(act: string, ...args: unknown[]): Promise<Result> {
    const id = ++this.#lastId
    this.process.send({ id, act, args })
    for (;;) {
      const [answer] = await once(this.process, 'message')
      if (answer.id !== id) continue
      if (answer.error !== undefined) throw new Error(answer.error)
      return answer.result
    }
  }

  /** Repeats the act until its result fulfils the condition. */
  async until<Result>(isSo: (answer: Result) => boolean, act: string, ...args: unknown[]): Promise<void> {
    while (!isSo(await this.ask<Result>(act, ...args)));
  }

  /** The pid of its keeper. */
  async keeper(): Promise<number> {
    const keeper = await this.ask<number>('keeper')
    this.#keepers.add(identityOf(keeper))
    return keeper
  }

  async #close(): Promise<void> {
    const { exitCode, signalCode } = this.process
    if (exitCode === null && signalCode === null) {
      const exited = once(this.process, 'exit')
      this.process.kill('SIGKILL')
      await exited
    }
    // Keepers end by themselves after their worker, unless a test fails.
    const living = [...this.#keepers].filter(isAlive)
    if (!(await this.witness.goneWithin(10_000))) for (const { pid } of living) end(pid)
    this.witness.close()
    rmSync(this.tmp, { recursive: true, force: true, maxRetries: 5 })
  }
}
