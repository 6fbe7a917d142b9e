/** The ways in which a request ends: what route and client do, and which response is right. */

import type { StdioOptions } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { Scope } from 'fastify-subprocess-guard'
import type { Outcome } from './outcome.js'
import { longTimeoutMs, shortTimeoutMs } from './settings.js'

/** What a route starts programs with: a scope, or plain `child_process` with the same methods. */
export type Starter = Pick<Scope, 'spawn' | 'execFile' | 'exec' | 'fork' | 'stream' | 'tempDir'>

export interface Ending {
  readonly name: string
  /** How often it occurs in one round of all endings. */
  readonly share: number
  readonly timeoutMs: number
  /** When the client closes its connection. Default: it waits for the end of the response. */
  readonly leaves?: 'before' | 'while' | 'streaming'
  /** Whether only the keeper can find everything that the route starts. */
  readonly needsKeeper?: true
  /** The handler of the route. Its result is the response. */
  handle(start: Starter, env: NodeJS.ProcessEnv): Promise<unknown>
  accepts(outcome: Outcome): boolean
}

type Handle = Ending['handle']

const programs = new URL('../../test/programs/', import.meta.url)
const pathOf = (program: string): string => fileURLToPath(new URL(program, programs))
const never = (): Promise<never> => new Promise(() => {})

// Without standard error: the program prints an error if its worker is killed before it has sent its message.
const forkStdio: StdioOptions = ['ignore', 'ignore', 'ignore', 'ipc']
// A file descriptor above 2 needs a direct launch: the worker spawns the command itself.
const directStdio = ['ignore', 'ignore', 'ignore', 'pipe'] as const

/** Starts a program and never answers. */
const hang =
  (program: string, ...args: string[]): Handle =>
  async (start, env) => {
    start.spawn('sh', [pathOf(program), ...args], { stdio: 'ignore', env })
    await never()
  }

/** The same with a direct launch. */
const hangDirect =
  (program: string): Handle =>
  async (start, env) => {
    start.spawn('sh', [pathOf(program)], { stdio: directStdio, env })
    await never()
  }

/** Starts a program and answers after this event. */
const answerAt =
  (event: 'spawn' | 'exit', program: string): Handle =>
  async (start, env) => {
    await once(start.spawn('sh', [pathOf(program)], { stdio: 'ignore', env }), event)
    return 'answered'
  }

const answers =
  (status: number, body: RegExp) =>
  (outcome: Outcome): boolean =>
    outcome.kind === 'answered' && !outcome.isCut && outcome.status === status && body.test(outcome.body)
/** Never a complete 200: the connection is cut or, if no byte was sent, the response is an error. */
const isCutOrFails = (outcome: Outcome): boolean =>
  outcome.kind === 'answered' && (outcome.isCut ? outcome.status === 200 : outcome.status >= 502)

const inTime = { timeoutMs: longTimeoutMs }
const tooLate = { timeoutMs: shortTimeoutMs, accepts: answers(503, /ERR_SUBPROCESS_DEADLINE/) }
const left = { timeoutMs: longTimeoutMs, accepts: ({ kind }: Outcome): boolean => kind === 'left' }

export const endings: readonly Ending[] = [
  {
    name: 'finished',
    share: 3,
    ...inTime,
    handle: (start, env) =>
      text(start.spawn('sh', ['-c', 'echo done'], { stdio: ['ignore', 'pipe', 'ignore'], env }).stdout),
    accepts: answers(200, /^done\n$/)
  },
  {
    name: 'finished, child left',
    share: 3,
    ...inTime,
    handle: answerAt('spawn', 'background-child.sh'),
    accepts: answers(200, /^answered$/)
  },
  {
    name: 'finished, leader gone',
    share: 2,
    ...inTime,
    handle: answerAt('exit', 'leader-exits.sh'),
    accepts: answers(200, /^answered$/)
  },
  {
    name: 'execFile with output',
    share: 2,
    ...inTime,
    handle: async (start, env) => (await start.execFile('seq', ['1', '20000'], { env })).stdout,
    // With every byte of the output.
    accepts: (outcome) =>
      answers(200, /\n20000\n$/)(outcome) && outcome.kind === 'answered' && outcome.body.length === 108_894
  },
  {
    name: 'exec of a pipeline',
    share: 2,
    ...inTime,
    handle: async (start, env) => (await start.exec('seq 1 2000 | sort -rn | head -n 1', { env })).stdout,
    accepts: answers(200, /^2000\n$/)
  },
  {
    name: 'tempDir',
    share: 2,
    ...inTime,
    async handle(start, env) {
      const cwd = start.tempDir()
      await writeFile(join(cwd, 'part'), 'content')
      return (await start.exec('cat part part > whole && cat whole', { cwd, env })).stdout
    },
    accepts: answers(200, /^contentcontent$/)
  },
  {
    name: 'fork',
    share: 1,
    ...inTime,
    async handle(start, env) {
      const [message] = await once(
        start.fork(pathOf('answers.mjs'), [], { stdio: forkStdio, env }),
        'message'
      )
      return message
    },
    accepts: answers(200, /"cwd"/)
  },
  {
    name: 'no such command',
    share: 1,
    ...inTime,
    handle: async (start, env) => (await start.execFile('no-such-command', [], { env })).stdout,
    // EACCES: this user may not read a directory in PATH.
    accepts: answers(500, /ENOENT|EACCES/)
  },
  {
    name: 'handler throws',
    share: 2,
    ...inTime,
    async handle(start, env) {
      await answerAt('spawn', 'background-child.sh')(start, env)
      throw new Error('thrown by the handler')
    },
    accepts: answers(500, /thrown by the handler/)
  },
  {
    name: 'stream fails',
    share: 2,
    ...inTime,
    handle: async (start, env) => start.stream('sh', ['-c', 'echo start; sleep 0.1; exit 3'], { env }),
    accepts: isCutOrFails
  },
  {
    name: 'stream past deadline',
    share: 2,
    timeoutMs: shortTimeoutMs,
    handle: async (start, env) => start.stream('sh', [pathOf('streams-then-waits.sh')], { env }),
    accepts: isCutOrFails
  },
  { name: 'deadline', share: 2, ...tooLate, handle: hang('background-child.sh') },
  { name: 'deadline, daemon', share: 2, ...tooLate, handle: hang('daemon.sh') },
  {
    name: 'deadline, blank daemon',
    share: 2,
    ...tooLate,
    needsKeeper: true,
    handle: hang('daemon-empty-environment.sh')
  },
  { name: 'deadline, ignores TERM', share: 2, ...tooLate, handle: hang('tree-ignores-term.sh') },
  { name: 'deadline, stopped', share: 1, ...tooLate, handle: hang('stops-itself.sh') },
  { name: 'deadline, direct', share: 1, ...tooLate, handle: hangDirect('tree-ignores-term.sh') },
  { name: 'client left before', share: 2, ...left, leaves: 'before', handle: hang('daemon.sh') },
  { name: 'client left', share: 2, ...left, leaves: 'while', handle: hang('sibling-ignores-term.sh') },
  { name: 'client left, deep', share: 1, ...left, leaves: 'while', handle: hang('deep.sh', '6') },
  { name: 'client left, direct', share: 1, ...left, leaves: 'while', handle: hangDirect('daemon.sh') },
  {
    name: 'client left stream',
    share: 2,
    ...left,
    leaves: 'streaming',
    handle: async (start, env) => start.stream('sh', [pathOf('streams-then-waits.sh')], { env })
  }
]

/** The URL path for an ending. */
export function routeOf({ name }: Ending): string {
  return `/${name.replaceAll(/\W+/g, '-')}`
}
