/** The server of the examples under PM2, with its own configuration and with PM2's defaults. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ask } from './harness/client.js'
import { Conversion, otherWorkerAt, refused, workerAt } from './harness/conversion.js'
import { eventually } from './harness/expectations.js'
import { Family } from './harness/family.js'
import { freePort } from './harness/free-port.js'
import { isAlive, treeOf } from './harness/proc.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const command = join(root, 'node_modules/pm2/bin/pm2')
const [app] = createRequire(import.meta.url)(join(root, 'examples/pm2/ecosystem.config.cjs')).apps
// What PM2's processes have in their command lines.
const daemon = 'God Daemon'
const server = 'pm2/server.js'
const busyTreeSize = 5

class Pm2 {
  readonly family = new Family()
  readonly #home = mkdtempSync(join(tmpdir(), 'pm2-'))
  readonly #env: NodeJS.ProcessEnv

  constructor(t: TestContext, port: number) {
    const bin = join(this.#home, 'bin')
    mkdirSync(bin)
    this.#env = {
      ...this.family.env,
      HOME: this.#home,
      PM2_HOME: this.#home,
      PM2_DISABLE_VERSION_CHECK: 'true',
      // A fork runs the `node` that is found there: this one.
      PATH: [bin, dirname(process.execPath), process.env.PATH].join(':'),
      PORT: String(port)
    }
    t.after(() => {
      this.family.close()
      rmSync(this.#home, { recursive: true, force: true, maxRetries: 5 })
    })
  }

  /** Starts the server with what the example says, but for that. */
  async start(override: object = {}): Promise<void> {
    const file = join(this.#home, 'ecosystem.config.json')
    writeFileSync(file, JSON.stringify({ apps: [{ ...app, ...override }] }))
    await this.run('start', file)
  }

  /** Has a program take the place of another one in the server. */
  replace(name: string, program: string): void {
    const file = join(this.#home, 'bin', name)
    writeFileSync(file, `#!/bin/sh\n${program}\n`)
    chmodSync(file, 0o755)
  }

  /** Resolves when the command line of PM2 has done it. */
  async run(...args: string[]): Promise<void> {
    const child = spawn(process.execPath, [command, ...args], { env: this.#env, stdio: 'ignore' })
    const [code] = await once(child, 'exit')
    assert.equal(code, 0, `pm2 ${args.join(' ')}: ${this.#log()}`)
  }

  /** Ends PM2 itself. */
  async kill(): Promise<void> {
    await this.run('kill')
    await this.family.gone()
  }

  #log(): string {
    return readFileSync(join(this.#home, 'pm2.log'), 'utf8')
  }
}

async function serve(t: TestContext, override: object = {}): Promise<{ pm2: Pm2; port: number }> {
  const port = await freePort()
  const pm2 = new Pm2(t, port)
  await pm2.start(override)
  assert.notEqual(await workerAt(port), undefined)
  return { pm2, port }
}

/** Has a worker hang in a request, and resolves with the worker. */
async function hang(port: number, { family }: Pm2): Promise<number> {
  ask(port, '/hang')
  const busy = (): number | undefined =>
    family.living(server).find(({ pid }) => treeOf(pid).length === busyTreeSize)?.pid
  await eventually('a worker runs a command', () => busy() !== undefined)
  return busy() as number
}

suite('under PM2', () => {
  for (const [exec_mode, instances] of [
    ['cluster', 2],
    ['fork', 1]
  ] as const) {
    test(`a worker that is killed leaves nothing, and another one serves (${exec_mode})`, async (t) => {
      const { pm2, port } = await serve(t, { exec_mode, instances })
      const worker = await hang(port, pm2)
      const workers = pm2.family.living(server).map(({ pid }) => pid)
      assert.equal(workers.length, instances)
      const itsTree = treeOf(worker)
      process.kill(worker, 'SIGKILL')
      await eventually('its tree is gone', () => !itsTree.some(isAlive))
      await otherWorkerAt(port, workers)
      await pm2.kill()
    })

    test(`a worker that hangs leaves nothing, and another one serves (${exec_mode})`, async (t) => {
      const { pm2, port } = await serve(t, { exec_mode, instances: 1, env: { WORKER_TIMEOUT_MS: '1000' } })
      const workers = pm2.family.living(server).map(({ pid }) => pid)
      const blocked = ask(port, '/block')
      await eventually('its command runs', () => pm2.family.living('sleep 1000').length === 1)
      await assert.rejects(blocked.answer)
      await otherWorkerAt(port, workers)
      assert.deepEqual(pm2.family.living('sleep 1000'), [])
      await pm2.kill()
    })

    test(`stop drains (${exec_mode})`, async (t) => {
      const { pm2, port } = await serve(t, { exec_mode, instances: 1 })
      const conversion = await Conversion.start(port, pm2.family)
      const stopped = pm2.run('stop', app.name)
      await refused(port)
      assert.deepEqual(await conversion.finish(), [200, 'first, last'])
      await stopped
      await pm2.family.gone({ but: daemon })
      await pm2.kill()
    })
  }

  test('reload drains, while the next worker serves', async (t) => {
    const { pm2, port } = await serve(t, { instances: 1 })
    const [worker] = pm2.family.living(server)
    const conversion = await Conversion.start(port, pm2.family)
    const reloaded = pm2.run('reload', app.name)
    await otherWorkerAt(port, [worker?.pid as number])
    assert.deepEqual(await conversion.finish(), [200, 'first, last'])
    await reloaded
    await eventually('the last worker is gone', () => pm2.family.living(server).length === 1)
    await pm2.kill()
  })

  test('a cluster leaves nothing when PM2 itself is killed', async (t) => {
    const { pm2, port } = await serve(t)
    await hang(port, pm2)
    process.kill(pm2.family.living(daemon)[0]?.pid as number, 'SIGKILL')
    await pm2.family.gone()
  })

  test('with treekill, PM2 ends the commands of requests that are to be drained', async (t) => {
    const { pm2, port } = await serve(t, { instances: 1, treekill: true })
    const conversion = await Conversion.start(port, pm2.family)
    const stopped = pm2.run('stop', app.name)
    await eventually('the command is gone', () => pm2.family.living('gzip -c').length === 0)
    const [status] = await conversion.finish().catch(() => [undefined])
    assert.notEqual(status, 200)
    await stopped
    await pm2.kill()
  })

  for (const treekill of [true, false]) {
    const what = treekill ? 'kills the keeper before it has ended everything' : 'leaves it to the keeper'

    test(`with a kill_timeout that is too short and treekill: ${treekill}, PM2 ${what}`, async (t) => {
      const { pm2, port } = await serve(t, { instances: 1, treekill, kill_timeout: 1_600 })
      // Starts one process after the other, also when PM2 has made its list of those to kill.
      pm2.replace('gzip', 'trap "" INT TERM\nwhile :; do sleep 1000 & sleep 0.1; done')
      ask(port, '/convert', { method: 'POST', body: 'body' })
      await eventually('it starts processes', () => pm2.family.living('sleep 1000').length > 1)
      await pm2.run('stop', app.name)
      if (treekill) {
        assert.deepEqual(pm2.family.living('keeper/main.js'), [])
        assert.ok(pm2.family.living('sleep 1000').length > 0, 'it leaves nothing: recommend it')
      } else {
        await pm2.family.gone({ but: daemon })
      }
      await pm2.run('kill')
    })
  }
})
