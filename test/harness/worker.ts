/** A worker in its own process, with or without a terminal, and what a test can observe of its end. */

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
// Enough for a heap to fill up and a thousand programs to start on a busy machine.
const longestWaitMs = 30_000

/** The time from the block of its event loop to the deadline of the request that blocks it, in ms. */
export const deadlineMs = 500

export interface WorkerSetup {
  /** False for the negative control. Default true. */
  guard?: boolean
  /** Who starts commands. Default `'keeper'`. */
  launch?: 'keeper' | 'direct'
  /** Further options of its guard. */
  options?: {
    workerTimeout?: number
    hooks?: string
    grace?: number
    privateTmp?: boolean
    timeout?: number
    containment?: string
  }
  /** Whether it runs in the foreground of a terminal. Default false. */
  terminal?: boolean
  /** Options of Node on the worker's command line. */
  nodeFlags?: readonly string[]
  env?: NodeJS.ProcessEnv
  /** The uid and gid it runs with. Default: those of the test. */
  user?: number
  /**
   * A command line to which the worker's is appended. It prepares the
   * environment and assumes the rights of `user`.
   */
  within?: readonly string[]
}

/** A log line that a keeper writes to standard error when its worker is gone. */
export interface KeeperLine {
  readonly worker: number
  readonly msg: string
  readonly processes: readonly { pid: number; command: string; ended: string; why?: string }[]
  readonly stack?: string
  readonly why?: string
  readonly leftFolders?: readonly { path: string }[]
}

/** Why no terminal can be created here; undefined if it can. */
export function whyNoTerminal(): string | undefined {
  const { stdout } = spawnSync('script', ['--version'], { encoding: 'utf8' })
  return stdout?.includes('util-linux') ? undefined : 'script(1) of util-linux is missing'
}

export class Worker {
  readonly witness = new Witness()
  pid!: number
  port!: number
  /** The pid of the keeper; undefined without the guard. */
  keeper: number | undefined
  #isAlive = (): boolean => false
  #isKeeperAlive = (): boolean => false
  readonly #isInTerminal: boolean
  readonly #home = mkdtempSync(join(tmpdir(), 'worker-'))
  readonly #tmp = join(this.#home, 'tmp')
  readonly #goOn = join(this.#home, 'go-on')
  /** The worker itself, or script(1), which provides its terminal. */
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
      // The reason that it and its keeper have printed may not have arrived yet.
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
      // A core dump would be written here.
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
    // Input for a closed terminal is lost.
    this.#process.stdin.on('error', () => {})
  }

  /** Runs a program in a request that the worker never answers. */
  run(program: string, times = 1, args: readonly string[] = []): void {
    const given = args.length === 0 ? '' : `&args=${args.join('+')}`
    ask(this.port, `/run?program=${program}&times=${times}${given}`)
  }

  /** Runs an act with a scope, in a request that the worker never answers. Resolves when the act is done. */
  async withScope(act: string): Promise<void> {
    this.startWithScope(act)
    await this.witness.heard('acted')
  }

  /** The same for an act that does not end. */
  startWithScope(act: string): void {
    ask(this.port, `/with-scope/${act}`)
  }

  /**
   * Runs a program and blocks the worker's event loop until `goOn()`, with a deadline
   * that passes meanwhile. Resolves when the worker is blocked and `processCount`
   * processes of the program have announced themselves.
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

  /** Ends the block of its event loop. */
  goOn(): void {
    writeFileSync(this.#goOn, '')
  }

  /** Makes the worker end itself. */
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

  /** Closes its terminal, as a closed window or a lost connection does. */
  hangUp(): void {
    this.#process.kill('SIGKILL')
  }

  /** Resolves when the worker is dead. */
  async dead(): Promise<void> {
    await eventually('the worker is dead', () => !this.#isAlive(), longestWaitMs)
  }

  /** Resolves when the keeper is dead too. */
  async keeperDead(ms?: number): Promise<void> {
    await eventually('the keeper is dead', () => !this.#isKeeperAlive(), ms)
  }

  /** Kills its keeper. The worker stays alive but is stopped, so that it cannot end anything itself. */
  async loseKeeper(): Promise<void> {
    this.kill('SIGSTOP')
    await eventually('it is stopped', () => statOf(this.pid)?.state === 'T')
    process.kill(this.keeper as number, 'SIGKILL')
    // It stays a zombie: its parent is stopped.
    await this.keeperDead()
  }

  /** Kills its keeper and the worker, before either can react to the other's end. */
  async loseBoth(): Promise<void> {
    await this.loseKeeper()
    this.kill('SIGKILL')
    await this.dead()
  }

  /** Its exit status, as a shell reports it. */
  async status(): Promise<number> {
    if (!this.#isInTerminal) {
      await this.#closed
      const { exitCode, signalCode } = this.#process
      return exitCode ?? 128 + constants.signals[signalCode as NodeJS.Signals]
    }
    await eventually('its shell tells its status', () => this.said('status').length > 0)
    return Number(this.said('status')[0])
  }

  /** The rest of each witness line that begins with that word. */
  said(word: string): string[] {
    const prefix = `${word} `
    return this.witness.said
      .filter((line) => line.startsWith(prefix))
      .map((line) => line.slice(prefix.length))
  }

  /** Everything that the worker and its keeper have printed, after both have ended. */
  async output(): Promise<string> {
    // The shell's `cat` holds the terminal open until it reads the end of its input.
    if (this.#isInTerminal) this.type('\x04')
    await this.#closed
    return this.#output
  }

  /** Everything that the worker and its keeper have printed until now. */
  get errors(): string {
    return this.#output
  }

  /** The log lines of the keeper. */
  async keeperLines(): Promise<KeeperLine[]> {
    const lines = (await this.output()).split('\n')
    return (
      lines
        .filter((line) => line.includes('"name":"fastify-subprocess-guard"'))
        // A terminal echoes what was typed.
        .map((line) => JSON.parse(line.slice(line.indexOf('{'))) as KeeperLine)
    )
  }

  /** Its directory for temporary files. */
  get temporaryFolder(): string {
    return this.#tmp
  }

  /** The names in its directory for temporary files, which no other worker uses. */
  temporaryFiles(): string[] {
    return readdirSync(this.#tmp)
  }

  /** All living processes that have inherited the worker's environment, by a scan of /proc. */
  heirs(): number[] {
    return this.witness.heirs()
  }

  /** Kills what a failed test has left, by pid. */
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

/** Returns a function that checks whether the process that has the pid now is alive. */
function lifeOf(pid: number): () => boolean {
  const identity = identityOf(pid)
  return () => isAlive(identity)
}

/**
 * The command as the foreground job of a shell in a terminal. The shell stays after the end of the job, and
 * holds the witness until it has reported the status.
 */
function inTerminal(command: readonly string[]): string[] {
  const job = command.map((part) => `'${part}'`).join(' ')
  const shell = `exec 8>"$WITNESS"; trap : INT; ${job} 8>&-; echo "status $?" >&8; exec cat 8>&-`
  return ['script', '-qfc', shell, '/dev/null']
}
