/** A worker that a test ends. Its routes start programs and end the worker itself. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, existsSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import Fastify, { type FastifyRequest } from 'fastify'
import type subprocessGuard from 'fastify-subprocess-guard'
import { distantMs, passDeadlines } from './deadlines.js'
import { logLines } from './log-lines.js'
import { grace } from './served.js'

const never = (): Promise<never> => new Promise(() => {})
const programs = new URL('../../../test/programs/', import.meta.url)
const launch = process.argv[2] as 'keeper' | 'direct' | 'unguarded'
const options = JSON.parse(process.env.GUARD_OPTIONS ?? '{}')
const isGuarded = launch !== 'unguarded'

// Another copy of the package, for tests that have one.
const guardPackage = process.env.GUARD_PACKAGE ?? 'fastify-subprocess-guard'
const { default: plugin }: { default: typeof subprocessGuard } = await import(guardPackage)

/**
 * Resolves when the keeper has read all previous messages, which a test that kills both would lose otherwise.
 */
const keeperHasHeard = (scope: FastifyRequest['subprocesses']): Promise<unknown> => scope.list()

const endings: Record<string, () => void> = {
  exit: () => process.exit(),
  close: () => void app.close(),
  abort: () => process.abort(),
  throw() {
    // Outside of the handler: Fastify would turn the error into a response.
    setImmediate(() => {
      throw new Error('thrown where nobody catches')
    })
  },
  'exhaust-heap'() {
    const hoard: number[][] = []
    for (;;) hoard.push(new Array(10_000).fill(hoard.length))
  }
}

/** What a route does with its scope. The worker ends before the route does. */
const acts: Record<string, (request: FastifyRequest) => unknown> = {
  adopt(request) {
    request.subprocesses.adopt(spawn(...commandOf('background-child.sh'), { stdio: 'ignore' }))
  },
  async release({ subprocesses: scope }) {
    const child = scope.spawn(...commandOf('background-child.sh'), { stdio: 'ignore' })
    scope.release(child)
    await once(child, 'spawn')
    await keeperHasHeard(scope)
  },
  async 'release-adopted'({ subprocesses: scope }) {
    const child = spawn(...commandOf('background-child.sh'), { stdio: 'ignore' })
    scope.release(scope.adopt(child))
    await keeperHasHeard(scope)
  },
  'temp-dir'(request) {
    const path = request.subprocesses.tempDir()
    writeFileSync(join(path, 'file'), 'content')
    say(`folder ${path}`)
    run(request, 'waits.sh')
  },
  async 'begin-to-close'(request) {
    const { subprocesses: scope } = request
    run(request, 'tree-ignores-term.sh')
    while ((await scope.list()).length < 4);
    void scope.close()
  },
  /** As code that knows nothing of the guard. */
  'start-apart'() {
    spawn(...commandOf('daemon.sh'), { stdio: 'ignore' }).unref()
  },
  /** As if the worker had died between the start of a command and the message to the keeper about it. */
  'start-unannounced'() {
    const mark = process.env.SUBPROCESS_GUARD_MARK?.replace('/0', '/1000')
    const env = { ...process.env, SUBPROCESS_GUARD_MARK: mark }
    spawn(...commandOf('daemon.sh'), { stdio: 'ignore', detached: true, env })
  },
  /**
   * Runs a program until the test lets the worker go on, and reports what the close of the scope has ended.
   */
  async 'ask-service'(request) {
    const { subprocesses: scope } = request
    void scope.closed.then(({ processes }) =>
      say(`closed ${JSON.stringify(processes.map(({ pid }) => pid))}`)
    )
    run(request, 'asks-service.sh')
    while (!existsSync(process.env.GO_ON as string)) await pause(10)
    await scope.close()
  },
  async 'start-as-nobody'({ subprocesses: scope }) {
    await once(scope.spawn(...commandOf('waits.sh'), { stdio: 'ignore', uid: 65_534, gid: 65_534 }), 'spawn')
  },
  async 'adopt-stubborn'({ subprocesses: scope }) {
    scope.adopt(spawn(...commandOf('tree-ignores-term.sh'), { stdio: 'ignore' }))
    await keeperHasHeard(scope)
  },
  'wait-for-command'() {
    execFileSync(...commandOf('background-child.sh'), { stdio: 'ignore' })
  }
}

// In a blocked event loop a signal handler does not run, but with one, the signal does not end the worker.
if (process.env.HEEDS_SIGABRT !== undefined) process.on('SIGABRT', () => {})

const app = Fastify({ forceCloseConnections: true, loggerInstance: logLines() })
if (isGuarded) await app.register(plugin, { timeout: false, grace, drain: 0, launch, ...options })

app.get<{ Querystring: { program: string; times: string; args?: string } }>('/run', async (request) => {
  const { program, times, args } = request.query
  for (let i = 0; i < Number(times); i++) run(request, program, args?.split(' '))
  await never()
})
app.get('/echo', async (request) => {
  const { stdout } = await request.subprocesses.execFile('echo', [app.subprocessGuard.containment])
  return stdout
})
app.get<{ Params: { act: string } }>('/with-scope/:act', async (request) => {
  await acts[request.params.act]?.(request)
  say('acted')
  await never()
})
// Both routes run a program and block the event loop when the test says so. Afterwards
// they answer, or wait for their deadline.
app.get<{ Querystring: { deadlineMs: string } }>(
  '/block/:then',
  { config: { subprocessGuard: { timeout: distantMs } } },
  (request) =>
    block(request, async () => {
      if (!isGuarded) return
      // The deadline passes while the event loop is blocked, so the keeper must know it before.
      await passDeadlines({ inMs: Number(request.query.deadlineMs) })
      request.subprocesses.sendDeadline()
    })
)
app.get('/hang/:then', (request) => block(request, async () => {}))
let blockNow = (): void => {}
app.get('/block-now', { config: { subprocessGuard: false } }, async () => {
  blockNow()
  await never()
})
app.get<{ Params: { ms: string } }>('/block-for/:ms', async (request) => {
  sleepFor(Number(request.params.ms))
  return 'unblocked'
})
app.get<{ Params: { ending: string } }>('/end/:ending', async (request) => {
  endings[request.params.ending]?.()
  await never()
})
if (process.env.CLOSE_WITH_GRACE !== undefined) {
  const { default: closeWithGrace } = await import('close-with-grace')
  closeWithGrace({ delay: 10_000, logger: false }, () => app.close())
}
await app.listen({ port: 0, host: '127.0.0.1' })
tell({
  pid: process.pid,
  port: (app.server.address() as AddressInfo).port,
  keeper: isGuarded ? app.subprocessGuard.keeper : undefined
})

async function block(request: FastifyRequest, beforeBlock: () => Promise<void>): Promise<string> {
  const { program } = request.query as { program: string }
  run(request, program)
  await new Promise<void>((resolve) => {
    blockNow = resolve
    say('ready to block')
  })
  await beforeBlock()
  say('blocking')
  // Blocks the event loop without using the processor.
  while (!existsSync(process.env.GO_ON as string)) sleepFor(10)
  // Used here, after the block, so that the request is still a live variable during the block.
  const { then } = request.params as { then: string }
  if (then !== 'answer') await never()
  return 'answer'
}

/** Blocks the thread without using the processor. */
function sleepFor(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

function commandOf(program: string, args: string[] = []): [command: string, args: string[]] {
  return ['sh', [fileURLToPath(new URL(program, programs)), ...args]]
}

function run(request: FastifyRequest, program: string, args: string[] = []): ChildProcess {
  const command = commandOf(program, args)
  if (isGuarded) return request.spawn(...command, { stdio: 'ignore' })
  // Without a guard: a plain spawn, in its own session as with the keeper.
  return spawn(...command, { stdio: 'ignore', detached: true })
}

/** Through the witness, because a terminal would mix it with other output. */
function tell(fact: object): void {
  say(`worker ${JSON.stringify(fact)}`)
}

function say(text: string): void {
  appendFileSync(process.env.WITNESS as string, `${text}\n`)
}
