/**
 * A hundred keepers are lost under load, for each way to lose one. The server still serves, no request waits
 * longer than its bound, and nothing is left (docs/faults.md, 71 to 73, 75).
 */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { type Answer, ask } from '../../harness/client.js'
import { assertGone, eventually } from '../../harness/expectations.js'
import { lives } from '../../harness/proc.js'
import { Worker } from '../../harness/worker.js'

// Ten workers share the hundred losses, concurrently, since a stopped keeper is given up only after ten
// seconds.
const workerCount = 10
const lossesOfEach = 10
// A light load, which a slow machine with two cores can handle for all workers.
const clientPauseMs = 500
const timeoutMs = 5_000
// How long an answer may take after the deadline on a busy machine.
const answerMs = 10_000
// A keeper that lived this long is replaced at once. After the fourth loss in a row the pause would be 4 s.
const longLifeMs = 10_000
const quickLosses = 4

// Fewer descriptors than any keeper has open.
const noDescriptors = 8

interface LossMethod {
  /** Makes the keeper unusable. */
  readonly lose: (worker: Losing) => Promise<void> | void
  /** What the worker logs when another keeper or another socket serves. */
  readonly line: string
}

const another = 'another keeper is starting'
const lossMethods: Record<string, LossMethod> = {
  SIGSTOP: { lose: ({ keeper }) => void process.kill(keeper, 'SIGSTOP'), line: another },
  SIGKILL: { lose: ({ keeper }) => void process.kill(keeper, 'SIGKILL'), line: another },
  'the removal of its directory': {
    lose: ({ worker }) => {
      for (const name of socketFolders(worker))
        rmSync(join(worker.temporaryFolder, name), { recursive: true })
    },
    line: 'the keeper has opened a new one'
  },
  'a lack of descriptors, and then SIGKILL': {
    async lose(losing) {
      const { keeper, worker } = losing
      execFileSync('prlimit', ['--pid', `${keeper}`, `--nofile=${noDescriptors}:`])
      const { status, body } = await losing.request('/echo')
      assert.notEqual(status, 200, body)
      assert.ok(lives(worker.pid))
      // The keeper may have been given up already.
      if (lives(keeper)) process.kill(keeper, 'SIGKILL')
    },
    line: another
  }
}

/** A worker under load that loses one keeper after another. */
class Losing {
  readonly worker: Worker
  /** How long each request has waited for its answer, in ms. */
  readonly waitsMs: number[] = []
  readonly statuses = new Map<number, number>()
  #isOver = false

  static async start(t: TestContext): Promise<Losing> {
    const worker = await Worker.start({ options: { timeout: timeoutMs } })
    t.after(() => worker.close())
    return new Losing(worker)
  }

  private constructor(worker: Worker) {
    this.worker = worker
  }

  /** The pid of the current keeper. */
  get keeper(): number {
    const numbers = [...this.worker.errors.matchAll(/"keeper":(\d+),"msg":"another keeper is starting"/g)]
    return Number(numbers.at(-1)?.[1] ?? this.worker.keeper)
  }

  async loseAll({ lose, line }: LossMethod): Promise<void> {
    const load = this.#load()
    for (let loss = 1; loss <= lossesOfEach; loss++) {
      const servesAt = performance.now()
      await this.#serves()
      const held = this.request('/run?program=tree-ignores-term.sh&times=1')
      await this.worker.witness.present(4 * loss)
      if (line === another && loss % quickLosses === 0) {
        await pause(longLifeMs - (performance.now() - servesAt))
        await this.#serves()
      }
      await lose(this)
      await eventually('the keeper is replaced', () => this.worker.errors.split(line).length > loss)
      assert.equal((await held).status, 503)
    }
    await this.#serves()
    this.#isOver = true
    await load
  }

  async assertSound(): Promise<void> {
    const { worker } = this
    assert.ok(lives(worker.pid))
    assert.ok(Math.max(...this.waitsMs) < timeoutMs + answerMs, `${Math.max(...this.waitsMs)} ms`)
    await assertGone(worker)
    await eventually('only worker and keeper are left', () => worker.heirs().length === 2)
    assert.equal(socketFolders(worker).length, 1)
    worker.end('close')
    await worker.keeperDead()
  }

  async request(path: string): Promise<Answer> {
    const askedAt = performance.now()
    const answer = await ask(this.worker.port, path).answer
    this.waitsMs.push(performance.now() - askedAt)
    this.statuses.set(answer.status, (this.statuses.get(answer.status) ?? 0) + 1)
    assert.equal(answer.isCut, false)
    return answer
  }

  /** Resolves when commands can run. */
  async #serves(): Promise<void> {
    while ((await this.request('/echo')).status !== 200) await pause(50)
  }

  async #load(): Promise<void> {
    while (!this.#isOver) {
      await this.request('/echo')
      await pause(clientPauseMs)
    }
  }
}

/** The socket directories of keepers in the TMPDIR of the worker. */
function socketFolders(worker: Worker): string[] {
  return worker.temporaryFiles().filter((name) => name.startsWith('subprocess-guard-'))
}

suite('a server survives the loss of a hundred keepers under load', { concurrency: 2 }, () => {
  for (const [name, method] of Object.entries(lossMethods)) {
    test(`by ${name}`, async (t) => {
      const all = await Promise.all(Array.from({ length: workerCount }, () => Losing.start(t)))
      await Promise.all(all.map((losing) => losing.loseAll(method)))
      for (const losing of all) await losing.assertSound()
      const waits = all.flatMap(({ waitsMs }) => waitsMs)
      const statuses = all.map(({ statuses }) => JSON.stringify([...statuses])).join(' ')
      t.diagnostic(
        `${waits.length} requests, the longest took ${Math.round(Math.max(...waits))} ms: ${statuses}`
      )
    })
  }
})
