/** `examples/cluster.ts` whose workers or primary are killed, hang or stop (fault 38 in docs/faults.md). */

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { after, before, suite, type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { ask } from './harness/client.js'
import { Conversion, otherWorkerAt, refused } from './harness/conversion.js'
import { eventually } from './harness/expectations.js'
import { Family } from './harness/family.js'
import { freePort } from './harness/free-port.js'
import { childrenOf, isAlive, treeOf } from './harness/proc.js'

const entry = fileURLToPath(new URL('../examples/cluster.js', import.meta.url))
// The worker, the keeper, and the three processes of the command.
const busyTreeSize = 5

class Cluster {
  readonly family = new Family()
  readonly primary: ChildProcess
  output = ''

  private constructor(env: NodeJS.ProcessEnv) {
    const stdio = ['ignore', 'pipe', 'pipe'] as const
    this.primary = spawn(process.execPath, [entry], {
      env: { ...this.family.env, LOG: 'off', ...env },
      stdio: [...stdio]
    })
    for (const stream of [this.primary.stdout, this.primary.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text
      })
    }
  }

  static async start(env: NodeJS.ProcessEnv): Promise<Cluster> {
    const cluster = new Cluster(env)
    const isReady = (): boolean => /^listening$|; the next starts/m.test(cluster.output)
    try {
      await eventually('the workers listen', isReady)
    } catch (error) {
      cluster.family.close()
      throw error
    }
    return cluster
  }

  get workers(): number[] {
    return childrenOf(this.primary.pid as number)
  }

  /** Makes each worker hang in a request. Resolves with a function that disconnects all clients. */
  async hang(port: number): Promise<() => void> {
    const { workers } = this
    // The primary distributes connections round-robin.
    const asked = workers.map(() => ask(port, '/hang'))
    const isBusy = (): boolean => workers.every((worker) => treeOf(worker).length === busyTreeSize)
    await eventually('every worker runs a command', isBusy)
    return () => {
      for (const { leave } of asked) leave()
    }
  }
}

async function serve(
  workerCount: number,
  env: NodeJS.ProcessEnv
): Promise<{ cluster: Cluster; port: number }> {
  const port = await freePort()
  const cluster = await Cluster.start({ WORKERS: String(workerCount), PORT: String(port), ...env })
  assert.equal(cluster.workers.length, workerCount)
  return { cluster, port }
}

suite('a running cluster', () => {
  const workerCount = 3
  let cluster: Cluster
  let port: number
  before(async () => {
    ;({ cluster, port } = await serve(workerCount, { WORKER_TIMEOUT_MS: '1500', DRAIN_MS: '30000' }))
  })
  after(() => cluster.family.close())

  test('replaces a killed worker, whose subprocesses end while those of other workers live on', async () => {
    const leave = await cluster.hang(port)
    const before = cluster.workers
    const [victim, ...others] = before as [number, ...number[]]
    const victimTree = treeOf(victim)
    const otherTrees = others.flatMap(treeOf)
    const load = new Load(port)
    await load.started()
    process.kill(victim, 'SIGKILL')
    await eventually('its tree is gone', () => !victimTree.some(isAlive))
    await otherWorkerAt(port, before)
    assert.equal(cluster.workers.length, workerCount)
    await load.end()
    assert.ok(otherTrees.every(isAlive), 'another worker has lost a subprocess')
    leave()
    await eventually('every worker is idle', () => cluster.family.living('sleep').length === 0)
  })

  test('replaces a hung worker, whose subprocesses end, and logs where it hung', async () => {
    const before = cluster.workers
    const blocked = ask(port, '/block')
    await assert.rejects(blocked.answer)
    await otherWorkerAt(port, before)
    assert.equal(cluster.workers.length, before.length)
    const victims = before.filter((worker) => !cluster.workers.includes(worker))
    assert.equal(victims.length, 1)
    for (const line of [
      new RegExp(`worker ${victims[0]} ended with SIGABRT`),
      new RegExp(`worker ${victims[0]} hung for \\d+ ms in GET /block: ended 1 processes, 0 survived`),
      /serve\.js:\d+:\d+/
    ]) {
      await eventually(`it prints ${line}`, () => line.test(cluster.output))
    }
    assert.deepEqual(cluster.family.living('sleep'), [])
  })

  test('drains its requests at SIGTERM, and exits with status 0', async () => {
    const conversion = await Conversion.start(port, cluster.family)
    const exited = once(cluster.primary, 'exit')
    cluster.primary.kill('SIGTERM')
    await refused(port)
    assert.deepEqual(await conversion.finish(), [200, 'first, last'])
    assert.deepEqual(await exited, [0, null])
    await cluster.family.gone()
  })
})

suite('a cluster', () => {
  const shortTimes = { DRAIN_MS: '300', GRACE_MS: '300' }

  async function start(t: TestContext, env: NodeJS.ProcessEnv): ReturnType<typeof serve> {
    const served = await serve(2, env)
    t.after(() => served.cluster.family.close())
    return served
  }

  test('exits in time, with status 0, when a worker does not react to SIGTERM', async (t) => {
    const { cluster, port } = await start(t, shortTimes)
    await cluster.hang(port)
    process.kill(cluster.workers[0] as number, 'SIGSTOP')
    const exited = once(cluster.primary, 'exit')
    cluster.primary.kill('SIGTERM')
    assert.deepEqual(await exited, [0, null])
    await cluster.family.gone()
  })

  test('ends with a killed primary, including everything that its workers run', async (t) => {
    const { cluster, port } = await start(t, shortTimes)
    await cluster.hang(port)
    assert.equal(cluster.family.living().length, 1 + 2 * busyTreeSize)
    cluster.primary.kill('SIGKILL')
    await cluster.family.gone()
  })

  test('drains its requests even when its primary is killed', async (t) => {
    const { cluster, port } = await start(t, { DRAIN_MS: '30000' })
    const conversion = await Conversion.start(port, cluster.family)
    cluster.primary.kill('SIGKILL')
    // By then the worker of the request has noticed it too: all workers are notified at the same time.
    await eventually('the idle workers are gone', () => cluster.family.living('cluster.js').length === 1)
    assert.deepEqual(await conversion.finish(), [200, 'first, last'])
    await cluster.family.gone()
  })

  test('backs off before it replaces workers that die right after their start', async (t) => {
    const cluster = await Cluster.start({ WORKERS: '1', PORT: '99999', SOUND_AFTER_MS: '1000000' })
    t.after(() => cluster.family.close())
    const pauses = (): string[] =>
      [...cluster.output.matchAll(/next starts in (\d+) ms/g)].map(([, ms]) => ms as string)
    await eventually('it has died three times', () => pauses().length >= 3)
    assert.deepEqual(pauses().slice(0, 3), ['100', '200', '400'])
    const exited = once(cluster.primary, 'exit')
    cluster.primary.kill('SIGTERM')
    assert.deepEqual(await exited, [0, null])
    await cluster.family.gone()
  })
})

// After this time a client gives up a lost request. Every other request is answered by then.
const answeredWithinMs = 5_000

/** Clients that send one conversion request after another until `end()`. */
class Load {
  readonly #clients: Promise<void>[]
  #isOver = false
  #answered = 0
  #lost = 0

  constructor(port: number, clients = 4) {
    this.#clients = Array.from({ length: clients }, () => this.#convert(port))
  }

  async started(): Promise<void> {
    await eventually('requests are answered', () => this.#answered > this.#clients.length)
  }

  /** Stops the clients. Asserts that all answers were right and that each client lost at most one request. */
  async end(): Promise<void> {
    this.#isOver = true
    await Promise.all(this.#clients)
    assert.ok(this.#lost <= this.#clients.length, `${this.#lost} were lost, ${this.#answered} answered`)
  }

  async #convert(port: number): Promise<void> {
    while (!this.#isOver) {
      const { answer, leave } = ask(port, '/convert', { body: 'body', method: 'POST' })
      // Node drops a connection that the primary has passed to a worker which dies before it accepts it.
      const patience = setTimeout(leave, answeredWithinMs)
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
      // Leaves the workers time for more than starting commands.
      await pause(20)
    }
  }
}
