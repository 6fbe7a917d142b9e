/**
 * A process that looks like the keeper of an idle worker, and answers as the
 * test wants: with what no real keeper sends.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { statOf } from './proc.js'

const program = `
  const { createServer } = require('node:net')
  const server = createServer((socket) => {
    socket.on('error', () => {})
    if (process.env.ANSWER !== undefined) socket.end(process.env.ANSWER)
  })
  server.listen(process.argv[1], () => console.log('listening'))`

export class StandInKeeper {
  readonly pid: number
  /** The pid of its worker. */
  readonly worker: number
  readonly #folder: string
  readonly #process: ChildProcess
  readonly #worker: ChildProcess

  /** Starts one that sends this answer, or none. */
  static async start(answer?: object | string): Promise<StandInKeeper> {
    const folder = mkdtempSync(join(tmpdir(), 'subprocess-guard-'))
    const worker = spawn('sleep', ['1000'], { stdio: 'ignore' })
    const workerPid = worker.pid as number
    const mark = [
      readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
      /\d+/.exec(readlinkSync('/proc/self/ns/pid')),
      workerPid,
      statOf(workerPid)?.startTick
    ].join('.')
    const text = typeof answer === 'object' ? `${JSON.stringify(answer)}\n` : answer
    const child = spawn(process.execPath, ['-e', program, join(folder, 'stdio')], {
      env: { SUBPROCESS_GUARD_KEEPER: mark, ...(text === undefined ? {} : { ANSWER: text }) },
      stdio: ['ignore', 'pipe', 'inherit']
    })
    await once(child.stdout, 'data')
    return new StandInKeeper(child, worker, folder)
  }

  private constructor(child: ChildProcess, worker: ChildProcess, folder: string) {
    this.#process = child
    this.#worker = worker
    this.worker = worker.pid as number
    this.#folder = folder
    this.pid = child.pid as number
  }

  async close(): Promise<void> {
    const ended = [this.#process, this.#worker].map((child) => once(child, 'exit'))
    for (const child of [this.#process, this.#worker]) child.kill('SIGKILL')
    await Promise.all(ended)
    rmSync(this.#folder, { recursive: true })
  }
}
