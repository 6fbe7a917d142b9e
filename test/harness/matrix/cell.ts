/** One cell of the matrix while it runs: its request, its handler, and its violations. */

import type { IncomingMessage } from 'node:http'
import type { Asked } from '../client.js'
import type { LogLine, Served } from '../served.js'
import type { Ending } from './endings.js'
import { Deferred, HandlerContext } from './handler-context.js'
import type { Handler } from './handlers.js'
import type { Hook } from './hooks.js'
import type { Route } from './routes.js'
import { assignError, runInCell } from './stray-errors.js'

// Fastify's message for a handler that fails after its request was answered, with or without a plugin.
const ofFastify = 'Promise errored, but reply.sent = true was set'

export class Cell {
  readonly handler: Handler
  readonly index: number
  /**
   * Resolved when a handler that has started nothing may go on: when its
   * response waits for a hook, or has arrived.
   */
  readonly gate = new Deferred()
  /** What the handler awaits besides its commands. */
  readonly externalWork = new Deferred()
  raw: IncomingMessage | undefined
  asked!: Asked
  #requestId: string | undefined
  readonly #errorLines: string[] = []
  readonly violations: string[] = []

  constructor(handler: Handler, index: number) {
    this.handler = handler
    this.index = index
  }

  get name(): string {
    return `cell-${this.index}`
  }

  get path(): string {
    return `/cell/${this.index}`
  }

  route({ stage }: Ending, { isCompressed }: Hook, { witness }: Served): Route {
    const { handler, index } = this
    return {
      path: this.path,
      limits: handler.limits,
      onErrorLine: (text) => void this.#errorLines.push(text),
      onRequest: (id) => {
        this.#requestId = id
      },
      onSlow: () => this.gate.resolve(),
      run: (act) => runInCell(index, act),
      handle: async (request, reply) => {
        this.raw = request.raw
        const spec = {
          program: stage === 'answer' && !handler.leavesCommand ? 'ends' : handler.program,
          name: this.name,
          first: stage === 'begun' ? (isCompressed ? 'much' : 'start') : '',
          env: witness.env
        } as const
        const context = new HandlerContext(spec, request, reply, this.externalWork, (error) =>
          assignError(error, index)
        )
        if (stage === 'unstarted') await this.gate.wait()
        const answer = handler.handle(context)
        // As if something failed that the handler awaits besides its commands.
        return stage === 'throw'
          ? Promise.race([answer, this.externalWork.wait().then(() => answer)])
          : answer
      }
    }
  }

  /** The error lines about its request. */
  errorLines(log: readonly LogLine[]): string[] {
    const messages = log
      .filter(({ level, reqId }) => level >= 50 && reqId !== undefined && reqId === this.#requestId)
      .map(({ msg }) => msg)
    return [...messages.filter((msg) => msg !== ofFastify), ...this.#errorLines]
  }
}
