/** PM2 with its own home directory, and the example servers that it runs. */

import assert from 'node:assert/strict'
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { otherWorkerAt } from './conversion.js'
import { Family } from './family.js'
import { freePort } from './free-port.js'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const command = join(root, 'node_modules/pm2/bin/pm2')
const main = fileURLToPath(new URL('./pm2-main.js', import.meta.url))
const [example] = createRequire(import.meta.url)(join(root, 'examples/pm2/ecosystem.config.cjs')).apps
/** The name of the example's server. */
export const name: string = example.name
// Part of the command line of PM2's daemon.
const daemon = 'God Daemon'

export class Pm2 {
  /** PM2 and all its descendants. */
  readonly family = new Family()
  readonly #home = mkdtempSync(join(tmpdir(), 'pm2-'))
  readonly #bin = join(this.#home, 'bin')
  readonly #env: NodeJS.ProcessEnv
  readonly #driver: ChildProcess
  #lastId = 0

  /** Resolves when PM2 runs. */
  static async start(): Promise<Pm2> {
    const pm2 = new Pm2()
    try {
      await once(pm2.#driver, 'message')
      await pm2.act('connect')
    } catch (error) {
      pm2.close()
      throw error
    }
    return pm2
  }

  private constructor() {
    mkdirSync(this.#bin)
    this.#env = {
      ...this.family.env,
      HOME: this.#home,
      PM2_HOME: this.#home,
      PM2_DISABLE_VERSION_CHECK: 'true',
      // In fork mode, PM2 runs the `node` of the PATH: this one.
      PATH: [this.#bin, dirname(process.execPath), process.env.PATH].join(':'),
      LOG: 'off'
    }
    this.#driver = fork(main, { env: this.#env, stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })
  }

  get daemon(): number {
    return this.family.living(daemon)[0]?.pid as number
  }

  /** Gives PM2 an order. Resolves when it is carried out. */
  async act(act: string, ...args: unknown[]): Promise<void> {
    const id = ++this.#lastId
    this.#driver.send({ id, act, args })
    for (;;) {
      const [answer] = (await once(this.#driver, 'message')) as [{ id: number; error?: string }]
      if (answer.id !== id) continue
      assert.equal(answer.error, undefined, `pm2 ${act}: ${answer.error}\n${this.#log()}`)
      return
    }
  }

  /** The same through PM2's command line. */
  async run(...args: string[]): Promise<void> {
    const child = spawn(process.execPath, [command, ...args], { env: this.#env, stdio: 'ignore' })
    const [code] = await once(child, 'exit')
    assert.equal(code, 0, `pm2 ${args.join(' ')}: ${this.#log()}`)
  }

  /**
   * Starts the server with the example's configuration and these
   * changes. Resolves with its port when it serves.
   */
  async serve({ env, ...override }: { env?: object; [option: string]: unknown } = {}): Promise<number> {
    const port = await freePort()
    const app = { ...example, ...override, env: { PORT: String(port), ...env } }
    await this.act('start', { apps: [app] })
    await otherWorkerAt(port)
    return port
  }

  /** Replaces a program that the server starts. */
  replace(name: string, program: string): void {
    writeFileSync(join(this.#bin, name), `#!/bin/sh\n${program}\n`)
    chmodSync(join(this.#bin, name), 0o755)
  }

  /** Ends the servers, and asserts that only PM2 is left. */
  async deleteAll(): Promise<void> {
    await this.act('delete', 'all')
    await this.onlyDaemon()
    rmSync(this.#bin, { recursive: true })
    mkdirSync(this.#bin)
  }

  /** Resolves when only PM2 is alive. */
  onlyDaemon(): Promise<void> {
    return this.family.gone({ but: [daemon, main] })
  }

  /** Resolves when PM2 is gone too. */
  gone(): Promise<void> {
    return this.family.gone({ but: [main] })
  }

  /** The pids of the workers that PM2 has started. */
  get workers(): number[] {
    return this.family.living('pm2/server.js').map(({ pid }) => pid)
  }

  /** Kills PM2 and everything that a failed test has left of it. */
  close(): void {
    this.#driver.kill('SIGKILL')
    this.family.close()
    rmSync(this.#home, { recursive: true, force: true, maxRetries: 5 })
  }

  #log(): string {
    return readFileSync(join(this.#home, 'pm2.log'), 'utf8')
  }
}
