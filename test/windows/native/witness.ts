/**
 * A witness of life and death: each process of a tree holds a connection to it, which the system closes when the
 * process ends.
 */

import { randomBytes } from 'node:crypto'
import { EventEmitter, on, once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import type { TestContext } from 'node:test'

export class Witness {
  readonly path = pipeName()
  /** The living processes, by pid. */
  readonly living = new Map<number, Socket>()
  readonly #changes = new EventEmitter()
  readonly #server = createServer((socket) => {
    socket.setEncoding('utf8')
    socket.on('error', () => {})
    socket.once('data', (line) => {
      const pid = Number.parseInt(String(line), 10)
      this.living.set(pid, socket)
      this.#changes.emit('change')
      socket.once('close', () => {
        this.living.delete(pid)
        this.#changes.emit('change')
      })
    })
  })

  /** It is closed after the test, and what lives is ended. */
  static async open(context: TestContext): Promise<Witness> {
    const witness = new Witness()
    witness.#server.listen(witness.path)
    await once(witness.#server, 'listening')
    context.after(() => witness.#close())
    return witness
  }

  /** Resolves with the pids when so many processes live. */
  async sees(count: number, withinMs = 60_000): Promise<number[]> {
    const changes = on(this.#changes, 'change', { signal: AbortSignal.timeout(withinMs) })
    try {
      while (this.living.size !== count) await changes.next()
    } catch {
      throw new Error(`${this.living.size} processes live after ${withinMs} ms, and not ${count}`)
    }
    return [...this.living.keys()]
  }

  #close(): void {
    for (const [pid, socket] of this.living) {
      socket.destroy()
      process.kill(pid)
    }
    this.#server.close()
  }
}

/** The name of a pipe that nobody else has. */
export function pipeName(): string {
  return `\\\\.\\pipe\\subprocess-guard-test-${randomBytes(16).toString('hex')}`
}
