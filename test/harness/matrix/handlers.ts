/** The handlers of the matrix: each uses its commands in a way of its own, and is tempted by their end to a wrong answer. */

import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { finished, pipeline } from 'node:stream/promises'
import type { Course } from './course.js'

/** How a command ends; see `test/programs/ends-as-told.sh`. */
export type Program = 'ends' | 'dies' | 'obeys' | 'silent' | 'leaves a writer'

/** How far a request has come when its scope ends. */
export type Stage = 'answer' | 'throw' | 'unstarted' | 'headless' | 'begun'

export interface Handler {
  readonly name: string
  /** How its commands end when they are asked to: what tempts it most. */
  readonly program: Program
  /** How many commands run while it waits. */
  readonly commands: number
  /** The stages that it has. */
  readonly stages: readonly Stage[]
  /** How its own answer begins. */
  readonly answer: string
  /** It answers while its command runs. */
  readonly leavesCommand: boolean
  /** It writes to Node's response by itself: then its answer may be cut where another one gets an error. */
  readonly isRaw: boolean
  /** Its command's output is first read by the framework, past all hooks. */
  readonly readsLate: boolean
  /** Hooks make no difference to it. */
  readonly ignoresHooks: boolean
  handle(course: Course): Promise<unknown>
}

type Given = Partial<Handler> & Pick<Handler, 'name' | 'handle'>

const never = (): Promise<never> => new Promise(() => {})

/** Without anything said, it waits for a command that ends well in spite of the signal, and answers with its output. */
export const usual = {
  program: 'obeys',
  commands: 1,
  stages: ['answer', 'throw', 'unstarted', 'headless'],
  answer: 'output\n',
  leavesCommand: false,
  isRaw: false,
  readsLate: false,
  ignoresHooks: false
} as const

// What has returned its answer throws no more.
const streaming = ['answer', 'unstarted', 'headless', 'begun'] as const
const piping = ['answer', 'throw', 'unstarted', 'headless', 'begun'] as const
// A framework gives no answer for what was hijacked.
const hijacking = streaming

const given: readonly Given[] = [
  {
    name: 'awaits execFile',
    handle: async (course) => (await course.execFile()).stdout
  },
  {
    name: 'awaits execFile of a command that dies',
    program: 'dies',
    handle: async (course) => (await course.execFile()).stdout
  },
  {
    name: 'forgets execFile',
    program: 'dies',
    answer: 'answered',
    leavesCommand: true,
    async handle(course) {
      course.execFile()
      await course.other()
      return 'answered'
    }
  },
  {
    name: 'awaits execFile late',
    program: 'dies',
    async handle(course) {
      const output = course.execFile()
      await course.other()
      return (await output).stdout
    }
  },
  {
    name: 'awaits two in a row',
    async handle(course) {
      const { stdout } = await course.execFile()
      return stdout + (await course.execFile()).stdout
    }
  },
  {
    name: 'starts two and awaits one after the other',
    program: 'dies',
    commands: 2,
    async handle(course) {
      const [one, other] = [course.execFile(), course.execFile()]
      return (await one).stdout + (await other).stdout
    }
  },
  {
    name: 'awaits Promise.all',
    commands: 2,
    program: 'dies',
    async handle(course) {
      const outputs = await Promise.all([course.execFile(), course.execFile()])
      return outputs.map(({ stdout }) => stdout).join('')
    }
  },
  {
    name: 'awaits Promise.allSettled',
    commands: 2,
    program: 'dies',
    answer: 'fulfilled, fulfilled',
    async handle(course) {
      const outputs = await Promise.allSettled([course.execFile(), course.execFile()])
      return outputs.map(({ status }) => status).join(', ')
    }
  },
  {
    name: 'races execFile',
    program: 'dies',
    handle: async (course) => {
      const winner = await Promise.race([course.execFile(), never()])
      return winner.stdout
    }
  },
  {
    name: 'catches and falls back',
    program: 'dies',
    async handle(course) {
      try {
        return (await course.execFile()).stdout
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
    handle: async (course) => course.spawn().stdout
  },
  {
    name: 'returns child.stdout of a command with a last word',
    stages: streaming,
    readsLate: true,
    handle: async (course) => course.spawn().stdout
  },
  {
    name: 'returns stream()',
    stages: streaming,
    handle: async (course) => course.stream()
  },
  {
    name: 'returns stream() of a command that dies',
    program: 'dies',
    stages: streaming,
    handle: async (course) => course.stream()
  },
  {
    name: 'awaits stream().ready and returns it',
    program: 'silent',
    stages: streaming,
    handle: async (course) => course.stream().ready
  },
  {
    name: 'collects child.stdout',
    program: 'silent',
    handle: async (course) => text(course.spawn().stdout)
  },
  {
    name: 'collects stream()',
    program: 'dies',
    handle: async (course) => text(course.stream())
  },
  {
    name: 'pipes child.stdout into the response',
    program: 'silent',
    stages: piping,
    isRaw: true,
    async handle(course) {
      await pipeline(course.spawn().stdout, course.raw)
      return course.answers()
    }
  },
  {
    name: 'pipes stream() into the response',
    program: 'dies',
    stages: piping,
    isRaw: true,
    async handle(course) {
      await pipeline(course.stream(), course.raw)
      return course.answers()
    }
  },
  {
    name: "answers from 'exit'",
    answer: 'status 0',
    async handle(course) {
      course.on(course.spawn(), 'exit', (code) => course.send(`status ${code}`))
      return course.answers()
    }
  },
  {
    name: "answers from 'close'",
    answer: 'status 0',
    async handle(course) {
      course.on(course.spawn(), 'close', (code) => course.send(`status ${code}`))
      return course.answers()
    }
  },
  {
    name: 'spawns, waits, and spawns again',
    program: 'dies',
    answer: 'answered',
    leavesCommand: true,
    async handle(course) {
      course.spawn()
      await course.other()
      course.spawn()
      return 'answered'
    }
  },
  {
    name: 'never settles',
    program: 'dies',
    stages: ['throw', 'unstarted', 'headless'],
    async handle(course) {
      course.spawn()
      await never()
    }
  },
  {
    name: 'hijacks and writes later',
    isRaw: true,
    stages: ['answer', 'unstarted', 'headless'],
    async handle(course) {
      course.hijack()
      const { raw } = course
      course.on(course.spawn(), 'close', () => {
        raw.writeHead(200, { 'content-type': 'text/plain' })
        raw.end('output\n')
      })
      return course.answers()
    }
  },
  {
    name: 'streams events',
    isRaw: true,
    answer: 'event: begin',
    stages: hijacking,
    async handle(course) {
      course.hijack()
      const { raw } = course
      const child = course.spawn()
      course.on(child.stdout, 'data', (chunk) => raw.write(`data: ${chunk}\n`))
      course.on(child, 'close', () => raw.end('event: end\n\n'))
      raw.writeHead(200, { 'content-type': 'text/event-stream' })
      raw.write('event: begin\n\n')
      return course.answers()
    }
  },
  {
    name: 'answers in a listener of the signal',
    program: 'dies',
    stages: ['throw', 'headless'],
    async handle(course) {
      course.spawn()
      const answer = course.noting(() => course.send('aborted'))
      course.scope.signal.addEventListener('abort', answer, { once: true })
      return course.answers()
    }
  },
  {
    name: 'waits for the signal and answers',
    program: 'dies',
    stages: ['throw', 'headless'],
    async handle(course) {
      course.spawn()
      const { signal } = course.scope
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
      return 'aborted'
    }
  },
  {
    name: 'awaits the end of stream()',
    stages: ['answer'],
    ignoresHooks: true,
    answer: 'finished',
    async handle(course) {
      await finished(course.stream().resume())
      return 'finished'
    }
  },
  {
    name: "awaits 'close' of stream()",
    stages: ['answer'],
    ignoresHooks: true,
    answer: 'closed',
    async handle(course) {
      const stream = course.stream().resume()
      await new Promise((resolve) => stream.once('close', resolve))
      return 'closed'
    }
  },
  {
    name: 'reads stream() by Readable.toWeb()',
    stages: ['answer'],
    ignoresHooks: true,
    handle: async (course) => new Response(Readable.toWeb(course.stream()) as ReadableStream).text()
  },
  {
    name: 'awaits execFile of a command that leaves a writer',
    program: 'leaves a writer',
    stages: ['answer'],
    ignoresHooks: true,
    leavesCommand: true,
    handle: async (course) => (await course.execFile()).stdout
  },
  {
    name: "answers from 'close' of a command that leaves a writer",
    program: 'leaves a writer',
    stages: ['answer'],
    ignoresHooks: true,
    leavesCommand: true,
    answer: 'status 0',
    async handle(course) {
      course.on(course.spawn(), 'close', (code) => course.send(`status ${code}`))
      return course.answers()
    }
  },
  {
    name: 'returns stream() of a command that leaves a writer',
    program: 'leaves a writer',
    stages: ['answer'],
    ignoresHooks: true,
    leavesCommand: true,
    handle: async (course) => course.stream()
  }
]

export const handlers: readonly Handler[] = given.map((handler) => ({ ...usual, ...handler }))
