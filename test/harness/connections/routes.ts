/** The handlers of generated requests, for any framework. */

import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import type { Scope, SpawnOptions, Subprocess } from 'fastify-subprocess-guard'
import { passDeadlines } from '../deadlines.js'
import { commandOf } from '../guarded.js'
import type { GuardedRequest } from '../served.js'
import type { HandlerProgress } from './handler-progress.js'
import { type Deadline, type Kind, pathOf, type Sent } from './requests.js'

const never = (): Promise<never> => new Promise(() => {})
const beatMs = 10
const pieceMs = 3

/** A request and the progress of its handler. */
export class Handled {
  readonly request: GuardedRequest
  readonly name: string
  readonly #progress: HandlerProgress
  readonly #deadline: Deadline
  #hasBegun = false

  constructor(request: GuardedRequest, progress: HandlerProgress, deadline: Deadline) {
    this.request = request
    this.name = new URL(request.raw.url as string, 'http://test').searchParams.get('name') ?? ''
    this.#progress = progress
    this.#deadline = deadline
  }

  get scope(): Scope {
    const { subprocesses } = this.request
    this.#progress.track(subprocesses, this.name)
    return subprocesses
  }

  /** Whether its scope has closed or can no longer be opened. */
  get isOver(): boolean {
    try {
      return this.request.subprocesses.reason !== undefined
    } catch {
      return true
    }
  }

  /** Starts a command. Resolves when it runs. */
  async start(command: string, args: readonly string[], options: SpawnOptions = {}): Promise<Subprocess> {
    const child = this.scope.spawn(command, args, { stdio: 'ignore', ...options })
    if (child.pid === undefined) await once(child, 'spawn')
    return child
  }

  /** Starts a command that never ends and that the witness knows. */
  async startWitnessed(): Promise<void> {
    await this.start(...commandOf('waits.sh'), { env: this.#progress.witness.env })
  }

  /** Everything is done before the response, or in place of one. */
  begun(): void {
    if (this.#hasBegun) return
    this.#hasBegun = true
    this.#progress.begin(this.name)
    // The deadlines of other pending requests may pass too, whatever these are doing.
    if (this.#deadline === 'soon') void passDeadlines({ count: 0 })
  }

  /** The output of a command. The handler counts as begun when the response has received some of it. */
  async givenBy({ stdout }: Subprocess): Promise<Readable | null> {
    if (stdout !== null) {
      // A stream that has ended emits no more events.
      if (!stdout.readableEnded && !stdout.destroyed)
        await Promise.race([once(stdout, 'readable'), once(stdout, 'close')])
      // Nobody reads the output then, and at the exit Node does not drain
      // a stream that had a 'readable' listener.
      if (this.isOver) stdout.resume()
    }
    setImmediate(() => this.begun())
    return stdout
  }

  /** Runs the handler. If it fails because its request is over, it counts as begun too. */
  async run<Result>(act: () => Promise<Result>): Promise<Result> {
    try {
      return await act()
    } catch (error) {
      this.begun()
      throw error
    }
  }
}

type Act = (handled: Handled) => Promise<unknown>

/** The kinds whose handlers answer through their framework, if at all. */
export const acts: Readonly<Record<Exclude<Kind, 'hijacks' | 'events' | 'socket'>, Act>> = {
  async answers(handled) {
    handled.begun()
    return handled.name
  },
  async runs(handled) {
    const run = handled.scope.execFile('true')
    handled.begun()
    await run
    return handled.name
  },
  async leaves(handled) {
    await handled.start('sleep', ['1000'])
    handled.begun()
    return handled.name
  },
  async stdout(handled) {
    const { stdout } = await handled.start('echo', [handled.name], { stdio: 'pipe' })
    handled.begun()
    return stdout
  },
  async stream(handled) {
    const stream = handled.scope.stream('echo', [handled.name])
    handled.begun()
    return stream.ready
  },
  async slow(handled) {
    await handled.start('sleep', ['1000'])
    handled.begun()
    return Readable.from(piecesOf(handled.name), { objectMode: false })
  },
  async hangs(handled) {
    handled.begun()
    return never()
  },
  async waits(handled) {
    handled.scope.signal.throwIfAborted()
    handled.begun()
    return never()
  },
  async commands(handled) {
    await handled.startWitnessed()
    handled.begun()
    return never()
  },
  async endless(handled) {
    const child = await handled.start('sh', ['-c', 'echo "$0"; exec sleep 1000', handled.name], {
      stdio: 'pipe'
    })
    return handled.givenBy(child)
  },
  async floods(handled) {
    const child = await handled.start('yes', [handled.name], { stdio: 'pipe' })
    return handled.givenBy(child)
  },
  async ignores(handled) {
    handled.begun()
    return handled.name
  },
  async reads(handled) {
    handled.begun()
    let bytes = 0
    for await (const part of handled.request.raw) bytes += part.length
    return `${handled.name} ${bytes}`
  },
  async holds(handled) {
    await handled.start('sleep', ['1000'])
    handled.begun()
    return never()
  },
  async feeds(handled) {
    const run = handled.scope.execFile('sleep', ['1000'], { input: handled.request.raw })
    handled.begun()
    await run
    return never()
  }
}

/** The kinds whose handlers write past their framework. */
export const rawActs: Readonly<
  Record<'hijacks' | 'events', (handled: Handled, response: ServerResponse) => Promise<void>>
> = {
  async hijacks(handled, response) {
    response.writeHead(200).write(`${handled.name}\n`)
    await handled.start('sleep', ['1000'])
    handled.begun()
  },
  async events(handled, response) {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const { signal } = handled.scope
    const beat = setInterval(() => response.write(`data: ${handled.name}\n\n`), beatMs)
    // Not at the response's 'close': Node does not emit that if the response waits behind another one.
    signal.addEventListener('abort', () => clearInterval(beat), { once: true })
    await handled.start('sleep', ['1000'])
    handled.begun()
  }
}

export function routeOf(kind: Kind, deadline: Deadline): string {
  return pathOf({ kind, deadline } as Sent, '').split('?')[0] as string
}

async function* piecesOf(name: string): AsyncGenerator<string> {
  for (const piece of [1, 2, 3]) {
    yield `${name} ${piece}\n`
    await pause(pieceMs)
  }
}
