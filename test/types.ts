/** Type tests: they pass if this file compiles. */

import type { ChildProcess } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import Fastify, { type FastifyRequest } from 'fastify'
import subprocessGuard, {
  type CommandStream,
  createGuard,
  type Guard,
  type Limits,
  type Output,
  type Policy,
  type ProcessPriority,
  type PromiseWithChild,
  type Rlimits,
  type Scope,
  type SpawnOptions,
  type Subprocess,
  type SubprocessError
} from 'fastify-subprocess-guard'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

/** Compiles only if the two types are identical. */
function same<A, B>(_isSame: Equal<A, B>): void {}

type Streams<Child extends Subprocess> = [Child['stdin'], Child['stdout'], Child['stderr']]

/** Never called, only compiled. */
export async function types(request: FastifyRequest, scope: Scope, guard: Guard): Promise<void> {
  const byDefault = request.spawn('command')
  same<Streams<typeof byDefault>, [Writable, Readable, Readable]>(true)
  const withArgs = request.spawn('command', ['argument'])
  same<Streams<typeof withArgs>, [Writable, Readable, Readable]>(true)
  const withEmptyOptions = scope.spawn('command', {})
  same<Streams<typeof withEmptyOptions>, [Writable, Readable, Readable]>(true)
  const withOtherOptions = scope.spawn('command', [], { cwd: '/' })
  same<Streams<typeof withOtherOptions>, [Writable, Readable, Readable]>(true)

  const ignored = request.spawn('command', { stdio: 'ignore' })
  same<Streams<typeof ignored>, [null, null, null]>(true)
  const inherited = request.spawn('command', [], { stdio: 'inherit' })
  same<Streams<typeof inherited>, [null, null, null]>(true)
  const piped = request.spawn('command', [], { stdio: 'pipe' })
  same<Streams<typeof piped>, [Writable, Readable, Readable]>(true)

  const mixed = request.spawn('command', [], { stdio: ['ignore', 'pipe', 'inherit'] })
  same<Streams<typeof mixed>, [null, Readable, null]>(true)
  const shorter = request.spawn('command', [], { stdio: ['ignore'] })
  same<Streams<typeof shorter>, [null, Readable, Readable]>(true)
  const holes = request.spawn('command', [], { stdio: [undefined, null, 'ignore'] })
  same<Streams<typeof holes>, [Writable, Readable, null]>(true)
  const longer = request.spawn('command', [], { stdio: ['pipe', 'ignore', 2, 'ipc'] })
  same<Streams<typeof longer>, [Writable, null, null]>(true)

  const options: SpawnOptions = { stdio: 'ignore' }
  const unknown = request.spawn('command', [], options)
  same<Streams<typeof unknown>, [Writable | null, Readable | null, Readable | null]>(true)
  const stdio: ('pipe' | 'ignore')[] = ['pipe']
  const unknownLength = request.spawn('command', [], { stdio })
  same<Streams<typeof unknownLength>, [Writable | null, Readable | null, Readable | null]>(true)

  const limits: Limits = { concurrency: 1 }
  guard.open({ limits }).spawn('command')
  void guard.run({ limits: { ...limits, queue: 10 } }, () => {})
  // @ts-expect-error: no such limit
  guard.open({ limits: { concurency: 1 } })
  same<SubprocessError['retryAfter'], number | undefined>(true)

  // A Subprocess is accepted where a ChildProcess is.
  for (const child of [byDefault, ignored, unknown, longer] satisfies ChildProcess[]) scope.release(child)
  scope.adopt(byDefault)
  scope.adopt(1234)
  // @ts-expect-error A string is no process.
  scope.adopt('1234')
  // @ts-expect-error The command is a string.
  request.spawn(['command'])
  // @ts-expect-error There is no such stdio option.
  request.spawn('command', [], { stdio: 'nowhere' })

  const text = scope.execFile('command', ['argument'])
  same<typeof text, PromiseWithChild<Output<string>>>(true)
  const inEncoding = scope.execFile('command', { encoding: 'latin1' })
  same<typeof inEncoding, PromiseWithChild<Output<string>>>(true)
  const bytes = scope.execFile('command', [], { encoding: 'buffer' })
  same<typeof bytes, PromiseWithChild<Output<Buffer>>>(true)
  const bytesWithoutArgs = scope.execFile('command', { encoding: null, maxBuffer: 1 })
  same<typeof bytesWithoutArgs, PromiseWithChild<Output<Buffer>>>(true)
  const bytesOfShell = scope.exec('command', { encoding: 'buffer' })
  same<typeof bytesOfShell, PromiseWithChild<Output<Buffer>>>(true)
  // @ts-expect-error execFile() needs the standard streams itself.
  scope.execFile('command', [], { stdio: 'ignore' })

  const stream = scope.stream('command', ['argument'], { input: request.raw, statusCode: 422 })
  same<typeof stream, CommandStream>(true)
  same<Awaited<typeof stream.ready>, CommandStream>(true)

  const result = await guard.run({ timeout: 1_000 }, async (scope) => scope.remaining)
  same<typeof result, number>(true)
  await createGuard({ drain: 1 })

  const app = Fastify()
  await app.register(subprocessGuard, {
    timeout: false,
    grace: 1,
    killSignal: 'SIGINT',
    launch: 'direct',
    capture: true
  })
  await app.register(subprocessGuard, { capture: { except: ['soffice', /worker/] } })
  // @ts-expect-error Commands are strings and regular expressions.
  app.register(subprocessGuard, { capture: { except: [5] } })
  same<ReturnType<typeof guard.outside<Promise<number>>>, Promise<number>>(true)
  const policy: Policy = { commands: ['ffmpeg', '/usr/bin/git'], shell: false, env: ['PATH', 'LANG'] }
  await app.register(subprocessGuard, { policy })
  await guard.run({ policy: { commands: ['ffmpeg'] as const } }, async () => {})
  guard.open({ policy: { env: [] } })
  app.get('/policy', { config: { subprocessGuard: { policy: { shell: false } } } }, async () => {})
  // @ts-expect-error Commands are a list.
  app.register(subprocessGuard, { policy: { commands: 'ffmpeg' } })
  // @ts-expect-error Milliseconds are a number.
  app.register(subprocessGuard, { timeout: '30s' })
  same<typeof app.subprocessGuard, Guard>(true)
  const priority: ProcessPriority = { nice: 5, ioClass: 'best-effort', ioLevel: 7, oomScoreAdj: 0 }
  const rlimits: Rlimits = { core: 0, nofile: 1_024, cpu: false }
  await app.register(subprocessGuard, { priority, limits: { rlimits } satisfies Limits })
  await guard.run({ priority: { nice: 1 }, limits: { rlimits: { as: 1 } } }, () => {})
  // @ts-expect-error There is no such class.
  app.register(subprocessGuard, { priority: { ioClass: 'realtime' } })
  // @ts-expect-error A limit is a number or false.
  app.register(subprocessGuard, { limits: { rlimits: { core: 'unlimited' } } })
  app.get('/', { config: { subprocessGuard: { timeout: 5_000 } } }, async (request) => {
    same<typeof request.subprocesses, Scope>(true)
  })
  app.get('/off', { config: { subprocessGuard: false } }, async () => {})
  // @ts-expect-error Milliseconds are a number.
  app.get('/text', { config: { subprocessGuard: { timeout: '5s' } } }, async () => {})
}
