/** Runs PM2 in its own directory, with one worker in fork mode and default settings otherwise. */

import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { environmentOf } from '../../test/harness/proc.js'
import { kill } from './processes.js'

const command = join(dirname(createRequire(import.meta.url).resolve('pm2/package.json')), 'bin/pm2')
const script = fileURLToPath(new URL('../actors/pm2-worker.js', import.meta.url))

export class Pm2 {
  readonly #home = mkdtempSync(join(tmpdir(), 'pm2-'))
  readonly #workerFile = join(this.#home, 'worker')
  readonly #env: NodeJS.ProcessEnv
  readonly #abandon = (): void => this.#killAll()

  /** Resolves when PM2 has started a worker that starts that many subprocesses. */
  static async start(subprocesses: number, env: NodeJS.ProcessEnv): Promise<Pm2> {
    const pm2 = new Pm2(subprocesses, env)
    const file = join(pm2.#home, 'ecosystem.config.json')
    writeFileSync(file, JSON.stringify({ apps: [{ name: 'worker', script, exec_mode: 'fork' }] }))
    await pm2.#run('start', file)
    return pm2
  }

  private constructor(subprocesses: number, env: NodeJS.ProcessEnv) {
    this.#env = {
      ...env,
      HOME: this.#home,
      PM2_HOME: this.#home,
      PM2_DISABLE_VERSION_CHECK: 'true',
      // PM2 runs a worker in fork mode with the first `node` in PATH: this one.
      PATH: [dirname(process.execPath), process.env.PATH].join(':'),
      WORKER_FILE: this.#workerFile,
      WORKER_SUBPROCESSES: String(subprocesses)
    }
    process.once('exit', this.#abandon)
  }

  /** The pid of the first worker, which has the subprocesses. */
  get worker(): number {
    return Number(readFileSync(this.#workerFile, 'utf8'))
  }

  /** Ends PM2 and its current worker. */
  async end(): Promise<void> {
    await this.#run('kill')
    this.#killAll()
    process.off('exit', this.#abandon)
  }

  async #run(...args: string[]): Promise<void> {
    await promisify(execFile)(process.execPath, [command, ...args], { env: this.#env })
  }

  /** Kills PM2 and everything that inherited its environment, even if its own command was interrupted. */
  #killAll(): void {
    for (let living = this.#all(); living.length > 0; living = this.#all()) living.forEach(kill)
    rmSync(this.#home, { recursive: true, force: true, maxRetries: 5 })
  }

  #all(): number[] {
    const entry = `PM2_HOME=${this.#home}`
    return readdirSync('/proc')
      .map(Number)
      .filter((pid) => Number.isInteger(pid) && environmentOf(pid).includes(entry))
  }
}
