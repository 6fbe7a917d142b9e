/**
 * Many deadlines at the same instant: the event loop turns between them, and yet every request gets its 503,
 * even when its command ends before the worker has handled its deadline.
 */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { suite, test } from 'node:test'
import { ask } from './harness/client.js'
import { distantMs, passDeadlines } from './harness/deadlines.js'
import { assertClean, assertGone } from './harness/expectations.js'
import { serve } from './harness/server.js'
import { shareKeeper } from './harness/shared-keeper.js'

shareKeeper()

const count = 20
// All error handlers together take several times the 50 ms after which the keeper ends commands itself.
const errorMs = 10
// By then the keeper has received all of the deadlines.
const inMs = 100

for (const launch of ['keeper', 'direct'] as const) {
  suite(`requests with their deadline at the same instant, launch: ${launch}`, () => {
    for (const [what, path] of [
      ['the end of its command', '/end'],
      ['the end of its output', '/output']
    ] as const) {
      test(`all get 503, although the keeper causes ${what} before the worker handles the deadline`, async (t) => {
        const served = await serve({ guard: { launch, timeout: distantMs } }, (app, served) => {
          app.setErrorHandler((error: { statusCode?: number }, _request, reply) => {
            const until = performance.now() + errorMs
            while (performance.now() < until);
            return reply.code(error.statusCode ?? 500).send('late')
          })
          app.get(path, async (request) => {
            const child = served.run(request, 'waits.sh', [], { stdio: ['ignore', 'pipe', 'ignore'] })
            if (path === '/output') await text(child.stdout as never)
            else await once(child, 'close')
            return 'as if nothing had happened'
          })
        })
        t.after(() => served.close())
        const asked = Array.from({ length: count }, () => ask(served.port, path))
        await served.witness.present(count)
        await passDeadlines({ count, inMs })
        for (const scope of served.guard.scopes()) scope.sendDeadline()
        const answers = await Promise.all(asked.map(({ answer }) => answer))
        assert.deepEqual(
          answers.map(({ status, body }) => `${status} ${body}`),
          answers.map(() => '503 late')
        )
        await assertGone(served)
        await assertClean(served)
      })
    }
  })
}
