/** A keeper that a test starts directly, in place of a worker, and the messages that it sends. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type * as Framing from '../../lib/wire/framing.js'
import type * as Protocol from '../../lib/wire/messages.js'
import { compiled, keeperFile } from './compiled.js'
import { eventually } from './expectations.js'
import { commandOf } from './guarded.js'
import { statOf } from './proc.js'
import { grace } from './server.js'
import { Witness } from './witness.js'

// Not public: loads the compiled files.
const { Decoder, encode }: typeof Framing = await compiled('wire/framing')

let count = 0

export class RawKeeper {
  readonly witness = new Witness()
  readonly heard: Protocol.KeeperMessage[] = []
  readonly process: ChildProcess
  readonly link: Socket
  errors = ''
  readonly #tmp = mkdtempSync(join(tmpdir(), 'raw-keeper-'))
  readonly #closed: Promise<unknown>

  static async start(t: TestContext): Promise<RawKeeper> {
    const keeper = new RawKeeper()
    t.after(() => keeper.#close())
    await eventually('the keeper is ready', () => keeper.heard.length > 0)
    return keeper
  }

  private constructor() {
    const { startTick } = statOf(process.pid) as { startTick: string }
    this.process = spawn(process.execPath, ['--expose-gc', keeperFile], {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
      // A worker mark that no process and no other keeper has: the keeper ends everything that carries it.
      env: {
        ...process.env,
        TMPDIR: this.#tmp,
        SUBPROCESS_GUARD_KEEPER: `raw${++count}.0.${process.pid}.${startTick}`
      },
      detached: true
    })
    this.#closed = once(this.process, 'close')
    this.link = this.process.stdio[3] as Socket
    const decoder = new Decoder<Protocol.KeeperMessage>()
    this.link.on('error', () => {}).on('data', (bytes) => void this.heard.push(...decoder.decode(bytes)))
    this.process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.errors += text
    })
  }

  /** The message that opens a scope. */
  get open(): string {
    return encode({ type: 'open', scope: 1, opening: { id: 'raw', graceMs: grace, killSignal: 'SIGTERM' } })
  }

  /** The message that starts a program in that scope. */
  launch(program: string): string {
    const [file, args] = commandOf(program)
    const env = this.witness.env as Record<string, string>
    const stdio = ['ignore', 'ignore', 'ignore'] as const
    const request = { file, args: [file, ...args], cwd: '/', env, stdio }
    return encode({ type: 'launch', id: 1, scope: 1, request })
  }

  /** Its exit status, after everything that it printed has arrived. */
  async status(): Promise<number | null> {
    await this.#closed
    return this.process.exitCode
  }

  /** The files that are left in its directory for temporary files. */
  temporaryFiles(): string[] {
    return readdirSync(this.#tmp)
  }

  #close(): void {
    this.process.kill('SIGKILL')
    this.link.destroy()
    this.witness.close()
    rmSync(this.#tmp, { recursive: true, force: true })
  }
}
