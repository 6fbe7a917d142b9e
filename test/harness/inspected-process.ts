/** Another Node process, by its inspector: collects its garbage and measures its heap. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import WebSocket from 'ws'

// The address on which Node listens after SIGUSR1 (nodejs.org/api/debugger.html).
const list = 'http://127.0.0.1:9229/json/list'
const openWithinMs = 5_000

export class InspectedProcess {
  readonly #socket: WebSocket
  #last = 0

  /** Opens the inspector of a process. Throws if another process has the port. */
  static async open(pid: number): Promise<InspectedProcess> {
    process.kill(pid, 'SIGUSR1')
    const until = performance.now() + openWithinMs
    for (;;) {
      const targets = await fetch(list).then(
        (answer) => answer.json() as Promise<[{ webSocketDebuggerUrl: string }]>,
        () => undefined
      )
      if (targets !== undefined) {
        const socket = new WebSocket(targets[0].webSocketDebuggerUrl)
        await once(socket, 'open')
        const inspected = new InspectedProcess(socket)
        assert.equal(await inspected.#evaluate('process.pid'), pid, 'another process is being inspected')
        return inspected
      }
      assert.ok(performance.now() < until, 'the inspector does not open')
      await pause(20)
    }
  }

  private constructor(socket: WebSocket) {
    this.#socket = socket
  }

  /** The size of its heap after a garbage collection, in bytes. */
  async heapBytes(): Promise<number> {
    await this.#call('HeapProfiler.collectGarbage')
    return Number(await this.#evaluate('process.memoryUsage().heapUsed'))
  }

  close(): void {
    this.#socket.terminate()
  }

  async #evaluate(expression: string): Promise<unknown> {
    return (await this.#call('Runtime.evaluate', { expression })).result.value
  }

  async #call(method: string, params = {}) {
    const id = ++this.#last
    this.#socket.send(JSON.stringify({ id, method, params }))
    for (;;) {
      const [message] = await once(this.#socket, 'message')
      const answer = JSON.parse(String(message))
      if (answer.id === id) return answer.result
    }
  }
}
