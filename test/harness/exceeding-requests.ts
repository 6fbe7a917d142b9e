/** A request that exceeds a limit: whatever exceeds it, in whichever way commands are started. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { ScopeReport, SubprocessGuardOptions } from 'fastify-subprocess-guard'
import { ask } from './client.js'
import { assertClean, assertGone } from './expectations.js'
import { type Setup, serve } from './server.js'

const program = fileURLToPath(new URL('../../../test/programs/takes-too-much.mjs', import.meta.url))

/**
 * Each is more than three Node programs need to start. A new child has the name of its parent until it executes `sleep`, so up
 * to 7 processes may have the name of Node: the limit of processes is so high that most are `sleep` even then.
 */
const limits = { memory: 400_000_000, cpu: 1_500, processes: 20 }
const units = { memory: ' bytes', cpu: ' ms', processes: '' }
const shapes = { one: 'one process', many: 'many processes', daemon: 'a daemon' }

/** How the commands of the requests are started. */
export interface Way {
  readonly name: string
  readonly guard: SubprocessGuardOptions
  readonly setup?: Pick<Setup, 'plugin'>
  readonly skip?: string | false
}

/** Declares the tests of each limit, in one process, in many, and in a daemon. */
export function testExceedingRequests({ name, guard, setup, skip = false }: Way): void {
  suite(`${name}, a request`, { concurrency: 2, skip }, () => {
    for (const limit of ['memory', 'cpu', 'processes'] as const) {
      for (const [shape, shown] of Object.entries(shapes)) {
        test(`that exceeds its limit of ${limit} in ${shown} is answered, and all of its processes end`, async (t) => {
          const served = await serve({ guard: { timeout: false, ...guard }, ...setup }, (_, served) => {
            const env = { ...served.witness.env }
            served.get(
              '/takes',
              async (request) => {
                const args = [program, limit, shape]
                const child = request.spawn(process.execPath, args, { env, stdio: 'ignore' })
                const [code, signal] = await once(child, 'close')
                return `ended with ${code ?? signal}`
              },
              { limits: { [limit]: limits[limit] } }
            )
          })
          t.after(() => served.close())
          const { status, body } = await ask(served.port, '/takes').answer
          assert.equal(status, 503, body)
          const { code, message } = JSON.parse(body)
          assert.equal(code, 'ERR_SUBPROCESS_LIMIT')
          assert.match(message, new RegExp(`: ${limit} ${limits[limit]}${units[limit]} \\(they used \\d+`))
          assert.match(message, limit === 'processes' ? /most of them: sleep\)$/ : /the largest: \S+\)$/)
          await assertGone(served)
          await assertClean(served)
          const [line] = served.log.filter(({ reason }) => reason === 'limit')
          assert.equal(line?.level, 40)
          const { exceeded } = line as unknown as ScopeReport
          assert.equal(exceeded?.limit, limit)
          assert.equal(exceeded?.value, limits[limit])
          assert.ok((exceeded?.used ?? 0) > limits[limit])
        })
      }
    }
  })
}
