/** Starts and controls the server of a test. */

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync } from 'node:fs'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { ScopeReport, SubprocessGuardOptions } from 'fastify-subprocess-guard'
import { Witness } from './witness.js'

const pollMs = 20

export interface ServerSettings {
  readonly isGuarded: boolean
  readonly options: SubprocessGuardOptions
  /** That of the routes `/waits-briefly` and `/blocks`. */
  readonly deadlineMs: number
}

export interface ServerMessage {
  readonly port: number
  readonly keeper: number
  readonly containment: string
}

export interface Answer {
  readonly status: number
  readonly body: string
}

export class TestServer {
  readonly witness: Witness
  readonly process: ChildProcess
  readonly #log: string
  #message: ServerMessage = { port: 0, keeper: 0, containment: '' }

  static async start(
    options: SubprocessGuardOptions = {},
    { isGuarded = true, deadlineMs = 60_000 } = {}
  ): Promise<TestServer> {
    const server = new TestServer(await Witness.open(), { isGuarded, options, deadlineMs })
    const [message] = await Promise.race([
      once(server.process, 'message'),
      once(server.process, 'exit').then(() => Promise.reject(new Error(`no server: ${server.log()}`)))
    ])
    server.#message = message as ServerMessage
    await server.witness.comes('server')
    return server
  }

  private constructor(witness: Witness, settings: ServerSettings) {
    this.witness = witness
    this.#log = join(mkdtempSync(join(tmpdir(), 'windows-test-')), 'log')
    const output = openSync(this.#log, 'w')
    this.process = fork(
      fileURLToPath(new URL('server-main.js', import.meta.url)),
      [JSON.stringify(settings)],
      {
        env: witness.env,
        stdio: ['ignore', output, output, 'ipc']
      }
    )
    closeSync(output)
  }

  get keeper(): number {
    return this.#message.keeper
  }

  get containment(): string {
    return this.#message.containment
  }

  /** What the worker and its keeper have logged. */
  log(): string {
    return readFileSync(this.#log, 'utf8')
  }

  /** Resolves when that is in the log: a process may be gone before the line about it is written. */
  async logs(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.log())) await pause(pollMs)
  }

  /** The line of the log about a scope that has closed with processes: the first one, or a later one. */
  async report(index = 0): Promise<ScopeReport> {
    for (;;) {
      const lines = this.log()
        .split('\n')
        .filter((line) => line.includes('"msg":"scope closed'))
      if (lines.length > index) return JSON.parse(lines[index] as string)
      await pause(pollMs)
    }
  }

  /** Sends a request. `leave` ends it from the client's side. */
  request(path: string): { readonly answer: Promise<Answer>; leave(): void } {
    const request = get({ host: '127.0.0.1', port: this.#message.port, path, agent: false })
    const answer = new Promise<Answer>((resolve, reject) => {
      request.once('error', reject)
      request.once('response', async (response) => {
        let body = ''
        response.on('data', (bytes) => {
          body += bytes
        })
        response.once('close', () => resolve({ status: response.statusCode ?? 0, body }))
      })
    })
    // A test that ends the server does not wait for the answer.
    answer.catch(() => {})
    return { answer, leave: () => request.destroy() }
  }

  async answer(path: string): Promise<Answer> {
    return this.request(path).answer
  }

  /** Closes the server as on a shutdown. Resolves when its process has ended. */
  async close(): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      const exited = once(this.process, 'exit')
      this.process.send('close', () => {})
      await exited
    }
    this.witness.close()
  }

  /** Ends the process of the server (TerminateProcess). */
  async kill(): Promise<void> {
    const exited = once(this.process, 'exit')
    this.process.kill('SIGKILL')
    await exited
  }
}
