/** A separate process for each contestant, so that contestants take turns and share nothing. */

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

interface Answer {
  readonly id: number
  readonly value?: unknown
  readonly error?: string
}

export class Actor {
  readonly #name: string
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, (answer: Answer) => void>()
  #lastId = 0

  /** Starts a program in `benchmarks/actors`. Resolves when it is ready. */
  static async start(
    name: string,
    args: readonly string[] = [],
    execArgv: string[] = [],
    stderr: 'inherit' | 'ignore' = 'inherit'
  ): Promise<Actor> {
    const actor = new Actor(name, args, execArgv, stderr)
    await actor.ask('ready')
    return actor
  }

  private constructor(
    name: string,
    args: readonly string[],
    execArgv: string[],
    stderr: 'inherit' | 'ignore'
  ) {
    this.#name = name
    const file = fileURLToPath(new URL(`../actors/${name}.js`, import.meta.url))
    const stdio = ['inherit', 'inherit', stderr, 'ipc'] as const
    this.#child = fork(file, [...args], { execArgv, serialization: 'advanced', stdio: [...stdio] })
    this.#child.on('message', (answer: Answer) => {
      this.#waiting.get(answer.id)?.(answer)
      this.#waiting.delete(answer.id)
    })
    this.#child.once('exit', (code, signal) => {
      for (const answer of this.#waiting.values()) {
        answer({ id: 0, error: `the actor ${name} ended with ${signal ?? code}` })
      }
      this.#waiting.clear()
    })
  }

  get pid(): number {
    return this.#child.pid as number
  }

  /** Calls a part of the actor. Resolves with its result, or rejects with its error. */
  ask<Value>(what: string, ...args: unknown[]): Promise<Value> {
    const id = ++this.#lastId
    return new Promise<Value>((resolve, reject) => {
      this.#waiting.set(id, ({ value, error }) =>
        error === undefined ? resolve(value as Value) : reject(new Error(error))
      )
      this.#child.send({ id, what, args }, (error) => {
        if (error === null) return
        this.#waiting.delete(id)
        reject(new Error(`the actor ${this.#name} could not be sent "${what}"`, { cause: error }))
      })
    })
  }

  /** Ends the actor with this signal, or lets it end by itself. Resolves when it has ended. */
  async end(signal?: NodeJS.Signals): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    if (signal === undefined) this.#child.disconnect()
    else this.#child.kill(signal)
    await ended
  }
}

/** In the actor: the parts that can be called. It ends when it is disconnected and idle. */
export function act(parts: Record<string, (...args: never[]) => unknown>): void {
  const all: Record<string, (...args: never[]) => unknown> = { ready: () => undefined, ...parts }
  const answer = (message: Answer): void => {
    // Once disconnected, no one waits for the answer.
    if (process.connected) process.send?.(message)
  }
  process.on('message', async ({ id, what, args }: { id: number; what: string; args: never[] }) => {
    try {
      const part = all[what]
      if (part === undefined) throw new Error(`there is no part "${what}"`)
      answer({ id, value: await part(...args) })
    } catch (error) {
      answer({ id, error: (error as Error).stack ?? String(error) })
    }
  })
}
