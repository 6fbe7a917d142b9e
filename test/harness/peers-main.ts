/** A server that runs programs with a deadline, by one of the ways that the README compares: `peers-main.js PEER TIMEOUT_MS`. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import subprocessGuard from 'fastify-subprocess-guard'
import PQueue from 'p-queue'
import treeKill from 'tree-kill'
import { commandOf } from './guarded.js'

type Run = (command: string, args: string[], env: NodeJS.ProcessEnv, req: FastifyRequest) => Promise<unknown>

const [, , peer = '', timeout] = process.argv
const timeoutMs = Number(timeout)
const app = Fastify(peer === 'handlerTimeout' ? { handlerTimeout: timeoutMs } : {})

/** Each ends the command at the deadline as thoroughly as that way allows. */
const ways: Readonly<Record<string, Run>> = {
  guard: (command, args, env, req) => closed(req.spawn(command, args, { env, stdio: 'ignore' })),
  child_process: (command, args, env) =>
    closed(spawn(command, args, { env, stdio: 'ignore', timeout: timeoutMs, killSignal: 'SIGKILL' })),
  execa: async (command, args, env) => {
    // Of version 10, which Node 20 cannot load.
    const { execa } = await import('execa10')
    return execa(command, args, {
      env,
      stdio: 'ignore',
      timeout: timeoutMs,
      cleanup: true,
      killDescendants: true,
      forceKillAfterDelay: 200
    })
  },
  'tree-kill': (command, args, env) => {
    const child = spawn(command, args, { env, stdio: 'ignore' })
    const timer = setTimeout(() => treeKill(child.pid as number, 'SIGKILL'), timeoutMs)
    return closed(child).finally(() => clearTimeout(timer))
  },
  handlerTimeout: (command, args, env, { signal }) =>
    closed(spawn(command, args, { env, stdio: 'ignore', signal, killSignal: 'SIGKILL' })),
  'p-queue': (command, args, env) =>
    new PQueue({ timeout: timeoutMs }).add(() => closed(spawn(command, args, { env, stdio: 'ignore' })))
}

if (peer === 'guard') await app.register(subprocessGuard, { timeout: timeoutMs, grace: 200 })
app.get('/run', run)
app.get('/hang', () => {
  // Says so at once: nothing is written later.
  writeSync(1, 'hangs\n')
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
})
await app.listen({ port: 0 })
writeSync(1, `port ${(app.server.address() as AddressInfo).port}\n`)

async function run(req: FastifyRequest, reply: FastifyReply): Promise<unknown> {
  const { program, witness } = req.query as { program: string; witness: string }
  const [command, args] = commandOf(program)
  await (ways[peer] as Run)(command, args, { ...process.env, WITNESS: witness }, req)
  return reply.send({ done: true })
}

async function closed(child: ChildProcess): Promise<unknown> {
  return once(child, 'close')
}
