/** A worker in a process of its own, with or without a terminal, and what can be seen of its end. */

import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { type Asked, ask } from './client.js'
import { eventually } from './expectations.js'
import { end, identityOf, isAlive, statOf } from './proc.js'
import { Witness } from './witness.js'

const entry = fileURLToPath(new URL('./worker-main.js', import.meta.url))
// Enough for a heap to fill up and a thousand programs to start, on a machine that has other work.
const longestWaitMs = 30_000

/** From the block of its event loop to the deadline of the request that blocks it. */
export const deadlineMs = 500

export interface WorkerSetup {
  /** False for the negative control. Default true. */
  guard?: boolean
  /** Who starts commands. Default `'keeper'`. */
  launch?: 'keeper' | 'direct'
  /** Further options of its guard. */
  options?: { workerTimeout?: number; hooks?: string; grace?: number; privateTmp?: boolean; timeout?: number }
  /** Whether it runs in the foreground of a terminal. Default false. */
  terminal?: boolean
  /** Options of Node on the worker's command line. */
  nodeFlags?: readonly string[]
  env?: NodeJS.ProcessEnv
  /** Whose rights it has: a user and the group of that number. Default: those of the test. */
  user?: number
  /** The start of a command line that ends with the worker's: it sets the stage, and takes on the user's rights. */
  within?: readonly string[]
}

/** What a keeper says on standard error when its worker is gone. */
export interface KeeperLine {
  readonly worker: number
  readonly msg: string
  readonly processes: readonly { pid: number; command: string; ended: string; why?: string }[]
  readonly stack?: string
  readonly why?: string
  readonly leftFolders?: readonly { path: string }[]
}

/** Why there can be no terminal here; undefined where there can. */
export function whyNoTerminal(): string | undefined {
  const { stdout } = spawnSync('script', ['--version'], { encoding: 'utf8' })
  return stdout?.includes('util-linux') ? undefined : 'script(1) of util-linux is missing'
}

export class Worker {
  readonly witness = new Witness()
  pid!: number
  port!: number
  /** Process id of the keeper; undefined without the guard. */
  keeper: number | undefined
  #isAlive = (): boolean => false
  #isKeeperAlive = (): boolean => false
  readonly #isInTerminal: boolean
  readonly #home = mkdtempSync(join(tmpdir(), 'worker-'))
  readonly #tmp = join(this.#home, 'tmp')
  readonly #goOn = join(this.#home, 'go-on')
  /** The worker itself, or script(1), which is its terminal. */
  readonly #process: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #closed: Promise<unknown>
  #output = ''

  /** Resolves when the worker serves. */
  static async start(setup: WorkerSetup = {}): Promise<Worker> {
    const worker = new Worker(setup)
    try {
      await worker.#serves()
      return worker
    } catch (error) {
      // What it and its keeper have said of why may still be on its way.
      if (worker.#process.exitCode !== null) await worker.#closed
      worker.close()
      throw new Error(`no worker: ${worker.#output}`, { cause: error })
    }
  }

  private constructor({ guard = true, launch = 'keeper', terminal = false, ...setup }: WorkerSetup) {
    const { nodeFlags = [], env, user, options = {}, within = [] } = setup
    this.#isInTerminal = terminal
    mkdirSync(this.#tmp)
    if (user !== undefined) for (const folder of [this.#home, this.#tmp]) chownSync(folder, user, user)
    const command = [...within, process.execPath, ...nodeFlags, entry, guard ? launch : 'unguarded']
    const [file, ...args] = terminal ? inTerminal(command) : command
    this.#process = spawn(file as string, args, {
      // A core dump of its end would be left here.
      cwd: this.#home,
      env: {
        ...this.witness.env,
        SHELL: '/bin/sh',
        TMPDIR: this.#tmp,
        GO_ON: this.#goOn,
        GUARD_OPTIONS: JSON.stringify(options),
        ...env
      },
      ...(user === undefined || within.length > 0 ? {} : { uid: user, gid: user })
    })
    this.#closed = once(this.#process, 'close')
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text
      })
    }
    // What is typed into a terminal that has gone is lost.
    this.#process.stdin.on('error', () => {})
  }

  /** Has the worker run a program in a request that it never answers. */
  run(program: string, times = 1, args: readonly string[] = []): void {
    const given = args.length === 0 ? '' : `&args=${args.join('+')}`
    ask(this.port, `/run?program=${program}&times=${times}${given}`)
  }

  /** Has the worker use a scope's other methods, in a request that it never answers. Resolves when that is done. */
  async withScope(act: string): Promise<void> {
    this.startWithScope(act)
    await this.witness.heard('acted')
  }

  /** The same for what does not end. */
  startWithScope(act: string): void {
    ask(this.port, `/with-scope/${act}`)
  }

  /**
   * Has the worker run a program and block its event loop, until it is told to go on, with a deadline that passes meanwhile.
   * Resolves when it is blocked and as many processes as the program has are there.
   */
  block(program: string, then: 'answer' | 'wait', processCount: number): Promise<Asked> {
    return this.#block('block', program, then, processCount)
  }

  /** The same in a request without a deadline. */
  hang(program: string, then: 'answer' | 'wait', processCount: number): Promise<Asked> {
    return this.#block('hang', program, then, processCount)
  }

  async #block(route: string, program: string, then: string, processCount: number): Promise<Asked> {
    const total = this.witness.announced.length + processCount
    const asked = ask(this.port, `/${route}/${then}?program=${program}&deadlineMs=${deadlineMs}`)
    await this.witness.present(total)
    await this.witness.heard('ready to block')
    ask(this.port, '/block-now')
    await this.witness.heard('blocking')
    return asked
  }

  /** Lets a blocked worker go on. */
  goOn(): void {
    writeFileSync(this.#goOn, '')
  }

  /** Has the worker end itself. */
  end(ending: string): void {
    ask(this.port, `/end/${ending}`)
  }

  kill(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal)
  }

  /** Types into its terminal. */
  type(text: string): void {
    this.#process.stdin.write(text)
  }

  /** Takes its terminal away, as a closed window or a lost connection does. */
  hangUp(): void {
    this.#process.kill('SIGKILL')
  }

  /** Resolves when the worker is dead. */
  async dead(): Promise<void> {
    await eventually('the worker is dead', () => !this.#isAlive(), longestWaitMs)
  }

  /** Resolves when the keeper is dead, too. */
  async keeperDead(ms?: number): Promise<void> {
    await eventually('the keeper is dead', () => !this.#isKeeperAlive(), ms)
  }

  /** Kills its keeper, and keeps the worker, which lives on, from ending anything in its place. */
  async loseKeeper(): Promise<void> {
    this.kill('SIGSTOP')
    await eventually('it is stopped', () => statOf(this.pid)?.state === 'T')
    process.kill(this.keeper as number, 'SIGKILL')
    // Nobody reaps it: its parent is stopped.
    await this.keeperDead()
  }

  /** Kills its keeper and the worker, before either can act on the other's end. */
  async loseBoth(): Promise<void> {
    await this.loseKeeper()
    this.kill('SIGKILL')
    await this.dead()
  }

  /** The status with which it ended, as a shell tells it. */
  async status(): Promise<number> {
    if (!this.#isInTerminal) {
      await this.#closed
      const { exitCode, signalCode } = this.#process
      return exitCode ?? 128 + constants.signals[signalCode as NodeJS.Signals]
    }
    await eventually('its shell tells its status', () => this.said('status').length > 0)
    return Number(this.said('status')[0])
  }

  /** What was said to the witness after that word. */
  said(word: string): string[] {
    const prefix = `${word} `
    return this.witness.said
      .filter((line) => line.startsWith(prefix))
      .map((line) => line.slice(prefix.length))
  }

  /** All that the worker and its keeper have printed, once nobody can print any more. */
  async output(): Promise<string> {
    // The shell's `cat` holds the terminal open until it reads the end of its input.
    if (this.#isInTerminal) this.type('\x04')
    await this.#closed
    return this.#output
  }

  /** All that the worker and its keeper have printed until now. */
  get errors(): string {
    return this.#output
  }

  /** What the keeper has said. */
  async keeperLines(): Promise<KeeperLine[]> {
    const lines = (await this.output()).split('\n')
    return (
      lines
        .filter((line) => line.includes('"name":"fastify-subprocess-guard"'))
        // A terminal shows what was typed, too.
        .map((line) => JSON.parse(line.slice(line.indexOf('{'))) as KeeperLine)
    )
  }

  /** Its folder for temporary files. */
  get temporaryFolder(): string {
    return this.#tmp
  }

  /** What is in the folder for temporary files, which is this worker's own. */
  temporaryFiles(): string[] {
    return readdirSync(this.#tmp)
  }

  /** Every process that has inherited the worker's environment and lives, by a look at all there are. */
  heirs(): number[] {
    return this.witness.heirs()
  }

  /** Ends what a test has left, by pid. */
  close(): void {
    this.#process.kill('SIGKILL')
    if (this.#isAlive()) end(this.pid)
    if (this.#isKeeperAlive()) end(this.keeper as number)
    this.witness.close()
    rmSync(this.#home, { recursive: true, force: true })
  }

  async #serves(): Promise<void> {
    await eventually(
      'the worker serves',
      () => this.said('worker').length > 0 || this.#process.exitCode !== null,
      longestWaitMs
    )
    const { pid, port, keeper } = JSON.parse(this.said('worker')[0] as string)
    this.pid = pid
    this.port = port
    this.keeper = keeper
    this.#isAlive = lifeOf(pid)
    if (keeper !== undefined) this.#isKeeperAlive = lifeOf(keeper)
  }
}

/** Tells whether the process that has the number now is alive. */
function lifeOf(pid: number): () => boolean {
  const identity = identityOf(pid)
  return () => isAlive(identity)
}

/**
 * The command as the foreground job of a shell in a terminal. The shell stays when the job has ended, and
 * holds the witness until it has told the status.
 */
function inTerminal(command: readonly string[]): string[] {
  const job = command.map((part) => `'${part}'`).join(' ')
  const shell = `exec 8>"$WITNESS"; trap : INT; ${job} 8>&-; echo "status $?" >&8; exec cat 8>&-`
  return ['script', '-qfc', shell, '/dev/null']
}
