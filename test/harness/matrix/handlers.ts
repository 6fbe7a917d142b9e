/**
 * The handlers of the matrix: each uses its commands in a different way, and
 * their end may lead it to a wrong response.
 */

import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { finished, pipeline } from 'node:stream/promises'
import type { Limits } from 'fastify-subprocess-guard'
import type { HandlerContext } from './handler-context.js'

/** How a command ends; see `test/programs/ends-as-told.sh`. */
export type Program = 'ends' | 'dies' | 'obeys' | 'silent' | 'grows' | 'leaves a writer'

/** How far a request has got when its scope ends. */
export type Stage = 'answer' | 'throw' | 'unstarted' | 'headless' | 'begun'

export interface Handler {
  readonly name: string
  /** How its commands end on SIGTERM: in the way most likely to mislead it. */
  readonly program: Program
  /** The number of commands that run while it waits. */
  readonly commands: number
  /** The stages that it can be in. */
  readonly stages: readonly Stage[]
  /** The beginning of its own answer. */
  readonly answer: string
  /** Whether it answers while its command runs. */
  readonly leavesCommand: boolean
  /**
   * Whether it writes to Node's response directly. Then its response may be cut where others become an error.
   */
  readonly isRaw: boolean
  /** Whether the framework is the first to read its command's output, after all hooks. */
  readonly readsLate: boolean
  /** Whether hooks make no difference to it. */
  readonly ignoresHooks: boolean
  /** The limits of its route. A direct launch could not wait for its place. */
  readonly limits: Limits | undefined
  handle(context: HandlerContext): Promise<unknown>
}

type Given = Partial<Handler> & Pick<Handler, 'name' | 'handle'>

const never = (): Promise<never> => new Promise(() => {})

/** The default: waits for a command that exits with 0 in spite of the signal, and answers with its output. */
export const usual = {
  program: 'obeys',
  commands: 1,
  stages: ['answer', 'throw', 'unstarted', 'headless'],
  answer: 'output\n',
  leavesCommand: false,
  isRaw: false,
  readsLate: false,
  ignoresHooks: false,
  limits: undefined
} as const

// A handler that has returned its answer cannot throw.
const streaming = ['answer', 'unstarted', 'headless', 'begun'] as const
const piping = ['answer', 'throw', 'unstarted', 'headless', 'begun'] as const
// A framework does not answer a hijacked request.
const hijacking = streaming

const given: readonly Given[] = [
  {
    name: 'awaits execFile',
    handle: async (context) => (await context.execFile()).stdout
  },
  {
    name: 'awaits execFile of a command that dies',
    program: 'dies',
    handle: async (context) => (await context.execFile()).stdout
  },
  {
    name: 'forgets execFile',
    program: 'dies',
    answer: 'answered',
    leavesCommand: true,
    async handle(context) {
      context.execFile()
      await context.externalWork()
      return 'answered'
    }
  },
  {
    name: 'awaits execFile late',
    program: 'dies',
    async handle(context) {
      const output = context.execFile()
      await context.externalWork()
      return (await output).stdout
    }
  },
  {
    name: 'awaits two in a row',
    async handle(context) {
      const { stdout } = await context.execFile()
      return stdout + (await context.execFile()).stdout
    }
  },
  {
    name: 'starts two and awaits one after the other',
    program: 'dies',
    commands: 2,
    async handle(context) {
      const [one, other] = [context.execFile(), context.execFile()]
      return (await one).stdout + (await other).stdout
    }
  },
  {
    name: 'awaits Promise.all',
    commands: 2,
    program: 'dies',
    async handle(context) {
      const outputs = await Promise.all([context.execFile(), context.execFile()])
      return outputs.map(({ stdout }) => stdout).join('')
    }
  },
  {
    name: 'awaits Promise.allSettled',
    commands: 2,
    program: 'dies',
    answer: 'fulfilled, fulfilled',
    async handle(context) {
      const outputs = await Promise.allSettled([context.execFile(), context.execFile()])
      return outputs.map(({ status }) => status).join(', ')
    }
  },
  {
    name: 'awaits execFile of a command that waits for its place',
    program: 'grows',
    limits: { concurrency: 1 },
    async handle(context) {
      context.execFile()
      return (await context.execFile()).stdout
    }
  },
  {
    name: 'returns stream() of a command that waits for its place',
    program: 'grows',
    stages: ['answer', 'unstarted', 'headless'],
    limits: { concurrency: 1 },
    async handle(context) {
      context.execFile()
      return context.stream()
    }
  },
  {
    name: 'races execFile',
    program: 'dies',
    handle: async (context) => {
      const winner = await Promise.race([context.execFile(), never()])
      return winner.stdout
    }
  },
  {
    name: 'catches and falls back',
    program: 'dies',
    async handle(context) {
      try {
        return (await context.execFile()).stdout
      } catch {
        return 'fallback'
      }
    }
  },
  {
    name: 'returns child.stdout',
    program: 'silent',
    stages: streaming,
    readsLate: true,
    handle: async (context) => context.spawn().stdout
  },
  {
    name: 'returns child.stdout of a command with a last word',
    stages: streaming,
    readsLate: true,
    handle: async (context) => context.spawn().stdout
  },
  {
    name: 'returns stream()',
    stages: streaming,
    handle: async (context) => context.stream()
  },
  {
    name: 'returns stream() of a command that dies',
    program: 'dies',
    stages: streaming,
    handle: async (context) => context.stream()
  },
  {
    name: 'awaits stream().ready and returns it',
    program: 'silent',
    stages: streaming,
    handle: async (context) => context.stream().ready
  },
  {
    name: 'collects child.stdout',
    program: 'silent',
    handle: async (context) => text(context.spawn().stdout)
  },
  {
    name: 'collects stream()',
    program: 'dies',
    handle: async (context) => text(context.stream())
  },
  {
    name: 'pipes child.stdout into the response',
    program: 'silent',
    stages: piping,
    isRaw: true,
    async handle(context) {
      await pipeline(context.spawn().stdout, context.raw)
      return context.untilResponded()
    }
  },
  {
    name: 'pipes stream() into the response',
    program: 'dies',
    stages: piping,
    isRaw: true,
    async handle(context) {
      await pipeline(context.stream(), context.raw)
      return context.untilResponded()
    }
  },
  {
    name: "answers from 'exit'",
    answer: 'status 0',
    async handle(context) {
      context.on(context.spawn(), 'exit', (code) => context.send(`status ${code}`))
      return context.untilResponded()
    }
  },
  {
    name: "answers from 'close'",
    answer: 'status 0',
    async handle(context) {
      context.on(context.spawn(), 'close', (code) => context.send(`status ${code}`))
      return context.untilResponded()
    }
  },
  {
    name: 'spawns, waits, and spawns again',
    program: 'dies',
    answer: 'answered',
    leavesCommand: true,
    async handle(context) {
      context.spawn()
      await context.externalWork()
      context.spawn()
      return 'answered'
    }
  },
  {
    name: 'never settles',
    program: 'dies',
    stages: ['throw', 'unstarted', 'headless'],
    async handle(context) {
      context.spawn()
      await never()
    }
  },
  {
    name: 'hijacks and writes later',
    isRaw: true,
    stages: ['answer', 'unstarted', 'headless'],
    async handle(context) {
      context.hijack()
      const { raw } = context
      context.on(context.spawn(), 'close', () => {
        raw.writeHead(200, { 'content-type': 'text/plain' })
        raw.end('output\n')
      })
      return context.untilResponded()
    }
  },
  {
    name: 'streams events',
    isRaw: true,
    answer: 'event: begin',
    stages: hijacking,
    async handle(context) {
      context.hijack()
      const { raw } = context
      const child = context.spawn()
      context.on(child.stdout, 'data', (chunk) => raw.write(`data: ${chunk}\n`))
      context.on(child, 'close', () => raw.end('event: end\n\n'))
      raw.writeHead(200, { 'content-type': 'text/event-stream' })
      raw.write('event: begin\n\n')
      return context.untilResponded()
    }
  },
  {
    name: 'answers in a listener of the signal',
    program: 'dies',
    stages: ['throw', 'headless'],
    async handle(context) {
      context.spawn()
      const answer = context.trackErrors(() => context.send('aborted'))
      context.scope.signal.addEventListener('abort', answer, { once: true })
      return context.untilResponded()
    }
  },
  {
    name: 'waits for the signal and answers',
    program: 'dies',
    stages: ['throw', 'headless'],
    async handle(context) {
      context.spawn()
      const { signal } = context.scope
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
      return 'aborted'
    }
  },
  {
    name: 'awaits the end of stream()',
    stages: ['answer'],
    ignoresHooks: true,
    answer: 'finished',
    async handle(context) {
      await finished(context.stream().resume())
      return 'finished'
    }
  },
  {
    name: "awaits 'close' of stream()",
    stages: ['answer'],
    ignoresHooks: true,
    answer: 'closed',
    async handle(context) {
      const stream = context.stream().resume()
      await new Promise((resolve) => stream.once('close', resolve))
      return 'closed'
    }
  },
  {
    name: 'reads stream() by Readable.toWeb()',
    stages: ['answer'],
    ignoresHooks: true,
    handle: async (context) => new Response(Readable.toWeb(context.stream()) as ReadableStream).text()
  },
  {
    name: 'awaits execFile of a command that leaves a writer',
    program: 'leaves a writer',
    stages: ['answer'],
    ignoresHooks: true,
    leavesCommand: true,
    handle: async (context) => (await context.execFile()).stdout
  },
  {
    name: "answers from 'close' of a command that leaves a writer",
    program: 'leaves a writer',
    stages: ['answer'],
    ignoresHooks: true,
    leavesCommand: true,
    answer: 'status 0',
    async handle(context) {
      context.on(context.spawn(), 'close', (code) => context.send(`status ${code}`))
      return context.untilResponded()
    }
  },
  {
    name: 'returns stream() of a command that leaves a writer',
    program: 'leaves a writer',
    stages: ['answer'],
    ignoresHooks: true,
    leavesCommand: true,
    handle: async (context) => context.stream()
  }
]

export const handlers: readonly Handler[] = given.map((handler) => ({ ...usual, ...handler }))
