/** A server with routes that run a short command: with limits, and without. Arguments: contestant, ms of the command. */

import type { AddressInfo } from 'node:net'
import { execa } from 'execa'
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify'
import subprocessGuard, { type Limits } from 'fastify-subprocess-guard'
import PQueue from 'p-queue'
import pidusage from 'pidusage'
import treeKill from 'tree-kill'
import { act } from '../harness/actor.js'

const [contestant = '', commandMs = '50'] = process.argv.slice(2)
const command: [string, string[]] = ['sleep', [String(Number(commandMs) / 1_000)]]
const concurrency = 4
const mostWaiting = 8
const memory = 512e6
const pollMs = 100
const answer = { done: true }

const appOf: Record<string, () => Promise<FastifyInstance>> = {
  async guard() {
    const app = Fastify()
    await app.register(subprocessGuard)
    const declare = (path: string, limits: Limits): void => {
      app.get(path, { config: { subprocessGuard: { limits } } }, async (request) => {
        await request.subprocesses.execFile(...command)
        return answer
      })
    }
    declare('/refusing', { concurrency, queue: mostWaiting, memory })
    declare('/queued', { concurrency })
    declare('/free', {})
    return app
  },

  async 'p-queue'() {
    const app = Fastify()
    const queue = new PQueue({ concurrency })
    app.get('/refusing', async (_request, reply) => {
      if (queue.size >= mostWaiting) return refuse(reply)
      await queue.add(() => watched(execa(...command)))
      return answer
    })
    return app
  }
}

function refuse(reply: FastifyReply): object {
  reply.code(503).header('retry-after', '1')
  return { error: 'busy' }
}

/** Ends the tree of a command that has more memory than the limit. */
async function watched(child: ReturnType<typeof execa>): Promise<void> {
  const pid = child.pid as number
  const timer = setInterval(async () => {
    // It rejects if the process has ended meanwhile.
    const used = await pidusage(pid).catch(() => undefined)
    if (used !== undefined && used.memory > memory) treeKill(pid, 'SIGKILL')
  }, pollMs)
  try {
    await child
  } finally {
    clearInterval(timer)
  }
}

const app = (await appOf[contestant]?.()) as FastifyInstance
app.get('/nothing', async () => answer)
await app.listen({ host: '127.0.0.1', port: 0 })
process.once('disconnect', () => app.close())

act({
  port: () => (app.server.address() as AddressInfo).port,

  /** Its processor time since its start, in ms. */
  spentMs() {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1_000
  }
})
