/** A server in TypeScript that prints its answers, compiled as an ES module and as CommonJS. */

import Fastify, { type FastifyInstance } from 'fastify'
import subprocessGuard, {
  type Guard,
  type ScopeReport,
  type Subprocess,
  SubprocessError,
  type SubprocessGuardOptions
} from 'fastify-subprocess-guard'

async function main(): Promise<void> {
  const app = Fastify()
  app.register(subprocessGuard, { timeout: 1000 })
  let closed: Promise<ScopeReport> | undefined
  app.get('/spawns', { config: { subprocessGuard: { timeout: 60_000 } } }, async (req) => {
    closed = req.subprocesses.closed
    const echo: Subprocess = req.spawn('echo', ['spawned'])
    return echo.stdout
  })
  app.get('/hangs', { config: { subprocessGuard: { timeout: 200, killSignal: 'SIGINT' } } }, async (req) => {
    // `sleep` holds the stdout of this program, so that reading it to its end also waits for `sleep`.
    req.spawn('sleep', ['60'], { stdio: ['ignore', 'inherit', 'ignore'] })
    await new Promise(() => {})
  })
  app.get('/unguarded', { config: { subprocessGuard: false } }, async (req) => req.spawn('ls', ['-l']).pid)
  app.addHook('onError', async (_req, _reply, error) => {
    if (!(error instanceof SubprocessError) || error.code !== 'ERR_SUBPROCESS_DEADLINE') throw error
  })
  for (const path of ['/spawns', '/hangs']) {
    const { statusCode, body } = await app.inject(path)
    console.log(statusCode, body)
  }
  const guard: Guard = app.subprocessGuard
  const containment: 'subreaper' | 'marks' | 'tree' = guard.containment
  const report = await closed
  if (report?.reason !== 'finished') throw new Error(`closed with ${report?.reason} at ${containment}`)
  await app.close()
}

/** Code that must not compile. */
export function mistakes(app: FastifyInstance): SubprocessGuardOptions {
  // @ts-expect-error: a timeout is a number of ms.
  app.register(subprocessGuard, { timeout: 'soon' })
  // @ts-expect-error: the option does not exist.
  app.register(subprocessGuard, { timout: 1000 })
  // @ts-expect-error: the timeout of a route is a number of ms too.
  app.get('/soon', { config: { subprocessGuard: { timeout: 'soon' } } }, async () => 'soon')
  // @ts-expect-error: arguments are strings.
  app.get('/args', async (req) => req.spawn('ls', [1]).stdout)
  // @ts-expect-error: the signal does not exist.
  return { killSignal: 'SIGNONE' }
}

main()
