/** A process that looks like the keeper of this test, and answers for it: what no real keeper is made to say. */

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
  readonly #folder: string
  readonly #process: ChildProcess

  /** Starts one that answers with that, or never. */
  static async start(answer?: object | string): Promise<StandInKeeper> {
    const folder = mkdtempSync(join(tmpdir(), 'subprocess-guard-'))
    const mark = [
      readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
      /\d+/.exec(readlinkSync('/proc/self/ns/pid')),
      process.pid,
      statOf(process.pid)?.startTick
    ].join('.')
    const text = typeof answer === 'object' ? `${JSON.stringify(answer)}\n` : answer
    const child = spawn(process.execPath, ['-e', program, join(folder, 'stdio')], {
      env: { SUBPROCESS_GUARD_KEEPER: mark, ...(text === undefined ? {} : { ANSWER: text }) },
      stdio: ['ignore', 'pipe', 'inherit']
    })
    await once(child.stdout, 'data')
    return new StandInKeeper(child, folder)
  }

  private constructor(child: ChildProcess, folder: string) {
    this.#process = child
    this.#folder = folder
    this.pid = child.pid as number
  }

  async close(): Promise<void> {
    this.#process.kill('SIGKILL')
    await once(this.#process, 'exit')
    rmSync(this.#folder, { recursive: true })
  }
}
