/** One cell of the matrix while it runs: its request, its handler, and what is wrong with it. */

import type { IncomingMessage } from 'node:http'
import type { Asked } from '../client.js'
import type { LogLine, Served } from '../served.js'
import { Course, Settled } from './course.js'
import type { Ending } from './endings.js'
import type { Handler } from './handlers.js'
import type { Hook } from './hooks.js'
import type { Route } from './routes.js'
import { noteThrower, runCourse } from './stray-errors.js'

// What Fastify says of a handler that fails when its request has its answer, with any plugin or none.
const ofFastify = 'Promise errored, but reply.sent = true was set'

export class Cell {
  readonly handler: Handler
  readonly index: number
  /** Opened when a handler that has started nothing goes on: when its answer waits for a hook, or is there. */
  readonly gate = new Settled()
  /** What else the handler waits for. */
  readonly other = new Settled()
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
      onErrorLine: (text) => void this.#errorLines.push(text),
      onRequest: (id) => {
        this.#requestId = id
      },
      onSlow: () => this.gate.resolve(),
      run: (act) => runCourse(index, act),
      handle: async (request, reply) => {
        this.raw = request.raw
        const told = {
          program: stage === 'answer' && !handler.leavesCommand ? 'ends' : handler.program,
          name: this.name,
          first: stage === 'begun' ? (isCompressed ? 'much' : 'start') : '',
          env: witness.env
        } as const
        const course = new Course(told, request, reply, this.other, (error) => noteThrower(error, index))
        if (stage === 'unstarted') await this.gate.wait()
        const answer = handler.handle(course)
        // As where something that the handler awaits beside its commands fails.
        return stage === 'throw' ? Promise.race([answer, this.other.wait().then(() => answer)]) : answer
      }
    }
  }

  /** The lines of error that tell of its request. */
  errorLines(log: readonly LogLine[]): string[] {
    const told = log
      .filter(({ level, reqId }) => level >= 50 && reqId !== undefined && reqId === this.#requestId)
      .map(({ msg }) => msg)
    return [...told.filter((msg) => msg !== ofFastify), ...this.#errorLines]
  }
}
