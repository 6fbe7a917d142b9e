/**
 * A debugger: a client of the Chrome DevTools Protocol, attached to a worker that runs with `--inspect=0`.
 */

import { once } from 'node:events'
import { WebSocket } from 'ws'
import { eventually } from './expectations.js'

interface Message {
  readonly id?: number
  readonly method?: string
  // biome-ignore lint/suspicious/noExplicitAny: the protocol has a shape for each method
  readonly params?: any
  // biome-ignore lint/suspicious/noExplicitAny: as above
  readonly result?: any
}

export class Debugging {
  isPaused = false
  readonly #socket: WebSocket
  readonly #answers = new Map<number, (result: Message['result']) => void>()
  #lastId = 0
  #frame: string | undefined

  /** Resolves when the debugger is attached and the domain `Debugger` is enabled. */
  static async attach(worker: { readonly errors: string }): Promise<Debugging> {
    const address = (): string | undefined => /ws:\/\/\S+/.exec(worker.errors)?.[0]
    await eventually('the inspector listens', () => address() !== undefined)
    const socket = new WebSocket(address() as string)
    await once(socket, 'open')
    const debugging = new Debugging(socket)
    await debugging.send('Debugger.enable')
    return debugging
  }

  private constructor(socket: WebSocket) {
    this.#socket = socket
    socket.on('message', (text) => this.#receive(JSON.parse(String(text))))
  }

  /** Sends a command and resolves with its result. */
  send(method: string, params: object = {}): Promise<Message['result']> {
    const id = ++this.#lastId
    this.#socket.send(JSON.stringify({ id, method, params }))
    return new Promise((resolve) => this.#answers.set(id, resolve))
  }

  /** Resolves when the debugger has paused the worker. */
  paused(): Promise<void> {
    return eventually('the debugger holds the worker', () => this.isPaused)
  }

  async evaluateInFrame(expression: string): Promise<unknown> {
    const params = { callFrameId: this.#frame, expression }
    return (await this.send('Debugger.evaluateOnCallFrame', params)).result.value
  }

  close(): void {
    this.#socket.terminate()
  }

  #receive({ id, method, params, result }: Message): void {
    if (id !== undefined) {
      this.#answers.get(id)?.(result)
      this.#answers.delete(id)
    } else if (method === 'Debugger.paused') {
      this.isPaused = true
      this.#frame = params.callFrames[0].callFrameId
    } else if (method === 'Debugger.resumed') this.isPaused = false
  }
}
