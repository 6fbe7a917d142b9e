/** The cluster of the examples, with its workers and its primary at their ends (FAULTS 38). */

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { suite, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ask } from './harness/client.js'
import { Conversion, otherWorkerAt, refused } from './harness/conversion.js'
import { eventually } from './harness/expectations.js'
import { Family } from './harness/family.js'
import { freePort } from './harness/free-port.js'
import { childrenOf, isAlive, treeOf } from './harness/proc.js'

const entry = fileURLToPath(new URL('../examples/cluster.js', import.meta.url))
const workerCount = 4
// Worker, keeper, and the three processes of the command.
const busyTreeSize = 5
const patienceMs = 3_000

class Cluster {
  readonly family = new Family()
  readonly primary: ChildProcess
  output = ''

  private constructor(env: NodeJS.ProcessEnv) {
    const stdio = ['ignore', 'pipe', 'pipe'] as const
    this.primary = spawn(process.execPath, [entry], {
      env: { ...this.family.env, ...env },
      stdio: [...stdio]
    })
    for (const stream of [this.primary.stdout, this.primary.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text
      })
    }
  }

  static async start(t: TestContext, env: NodeJS.ProcessEnv): Promise<Cluster> {
    const cluster = new Cluster(env)
    t.after(() => cluster.family.close())
    const isReady = (): boolean => /^listening$|; the next starts/m.test(cluster.output)
    await eventually('the workers listen', isReady, 30_000)
    return cluster
  }

  get workers(): number[] {
    return childrenOf(this.primary.pid as number)
  }

  /** Has each worker hang in a request that the test does not end. */
  async hang(port: number): Promise<void> {
    // The primary gives one connection to each in turn.
    for (let i = 0; i < workerCount; i++) ask(port, '/hang')
    const isBusy = (): boolean => this.workers.every((worker) => treeOf(worker).length === busyTreeSize)
    await eventually('every worker runs a command', isBusy)
  }
}

async function serve(
  t: TestContext,
  env: NodeJS.ProcessEnv = {}
): Promise<{ cluster: Cluster; port: number }> {
  const port = await freePort()
  const setup = { WORKERS: String(workerCount), PORT: String(port), ...env }
  const cluster = await Cluster.start(t, setup)
  assert.equal(cluster.workers.length, workerCount)
  return { cluster, port }
}

const quickly = { DRAIN_MS: '300', GRACE_MS: '300' }

suite('a cluster', () => {
  test('replaces a worker that is killed, whose subprocesses end, and those of no other', async (t) => {
    const { cluster, port } = await serve(t)
    await cluster.hang(port)
    const before = cluster.workers
    const [victim, ...others] = before as [number, ...number[]]
    const itsTree = treeOf(victim)
    const keptTrees = others.flatMap(treeOf)
    const load = new Load(port)
    await load.underWay()
    process.kill(victim, 'SIGKILL')
    await eventually('its tree is gone', () => !itsTree.some(isAlive))
    await otherWorkerAt(port, before)
    assert.equal(cluster.workers.length, workerCount)
    await load.end()
    assert.ok(keptTrees.every(isAlive), 'another worker has lost something')
  })

  test('replaces a worker that hangs, whose subprocesses end, and says where it hung', async (t) => {
    const { cluster, port } = await serve(t, { WORKER_TIMEOUT_MS: '1000' })
    const before = cluster.workers
    const blocked = ask(port, '/block')
    await assert.rejects(blocked.answer)
    await otherWorkerAt(port, before)
    assert.equal(cluster.workers.length, workerCount)
    const victims = before.filter((worker) => !cluster.workers.includes(worker))
    assert.equal(victims.length, 1)
    assert.match(cluster.output, new RegExp(`worker ${victims[0]} ended with SIGABRT`))
    assert.match(
      cluster.output,
      new RegExp(`worker ${victims[0]} hung for \\d+ ms in GET /block: ended 1 processes, 0 survived`)
    )
    assert.match(cluster.output, /serve\.js:\d+:\d+/)
    assert.deepEqual(cluster.family.living('sleep'), [])
  })

  test('drains its requests at SIGTERM, and ends with status 0', async (t) => {
    const { cluster, port } = await serve(t)
    const conversion = await Conversion.start(port, cluster.family)
    const exited = once(cluster.primary, 'exit')
    cluster.primary.kill('SIGTERM')
    await refused(port)
    assert.deepEqual(await conversion.finish(), [200, 'first, last'])
    assert.deepEqual(await exited, [0, null])
    await cluster.family.gone()
  })

  test('ends in time, with status 0, when a worker does not answer SIGTERM', async (t) => {
    const { cluster, port } = await serve(t, quickly)
    await cluster.hang(port)
    process.kill(cluster.workers[0] as number, 'SIGSTOP')
    const exited = once(cluster.primary, 'exit')
    cluster.primary.kill('SIGTERM')
    assert.deepEqual(await exited, [0, null])
    await cluster.family.gone()
  })

  test('ends with its primary when that is killed, with all that its workers run', async (t) => {
    const { cluster, port } = await serve(t, quickly)
    await cluster.hang(port)
    assert.equal(cluster.family.living().length, 1 + workerCount * busyTreeSize)
    cluster.primary.kill('SIGKILL')
    await cluster.family.gone()
  })

  test('drains its requests even when its primary is killed', async (t) => {
    const { cluster, port } = await serve(t)
    const conversion = await Conversion.start(port, cluster.family)
    cluster.primary.kill('SIGKILL')
    // The worker of the request has heard of it by then: all hear it at once.
    await eventually('the idle workers are gone', () => cluster.family.living('cluster.js').length === 1)
    assert.deepEqual(await conversion.finish(), [200, 'first, last'])
    await cluster.family.gone()
  })

  test('waits longer and longer before it replaces workers that die at once', async (t) => {
    const cluster = await Cluster.start(t, { WORKERS: '1', PORT: '99999' })
    const pauses = (): string[] =>
      [...cluster.output.matchAll(/next starts in (\d+) ms/g)].map(([, ms]) => ms as string)
    await eventually('it has died three times', () => pauses().length === 3, 20_000)
    assert.deepEqual(pauses(), ['100', '200', '400'])
    cluster.primary.kill('SIGTERM')
    assert.deepEqual(await once(cluster.primary, 'exit'), [0, null])
    await cluster.family.gone()
  })
})

/** Clients that convert one body after the other until they are told to stop. */
class Load {
  readonly #clients: Promise<void>[]
  #isOver = false
  #answered = 0
  #lost = 0

  constructor(port: number, clients = 4) {
    this.#clients = Array.from({ length: clients }, () => this.#convert(port))
  }

  async underWay(): Promise<void> {
    await eventually('requests are answered', () => this.#answered > this.#clients.length)
  }

  /** Asserts that every answer was right, and that a worker's death cost each client one at the most. */
  async end(): Promise<void> {
    this.#isOver = true
    await Promise.all(this.#clients)
    assert.ok(this.#lost <= this.#clients.length, `${this.#lost} were lost, ${this.#answered} answered`)
  }

  async #convert(port: number): Promise<void> {
    while (!this.#isOver) {
      const { answer, leave } = ask(port, '/convert', { body: 'body', method: 'POST' })
      // Node forgets a connection that the primary has handed to a worker which dies before it takes it.
      const patience = setTimeout(leave, patienceMs)
      try {
        const { status, isCut } = await answer
        assert.equal(status, 200)
        if (isCut) this.#lost++
        else this.#answered++
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') throw error
        this.#lost++
      } finally {
        clearTimeout(patience)
      }
    }
  }
}
