/** Many deadlines at the same instant: the loop goes round between them, and each request is late all the same. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { suite, test } from 'node:test'
import { ask } from './harness/client.js'
import { assertClean, assertGone } from './harness/expectations.js'
import { serve } from './harness/server.js'

const count = 40
// All of them together take many times as long as the keeper waits before it ends commands by itself (50 ms).
const errorMs = 10
// Within this time all of their commands run.
const timeoutMs = 3_000

for (const launch of ['keeper', 'direct'] as const) {
  suite(`requests whose deadline is the same instant, launch: ${launch}`, () => {
    for (const [what, path] of [
      ['the end of its command', '/end'],
      ['the end of its output', '/output']
    ] as const) {
      test(`all get their 503, though the keeper makes ${what} before their turn`, async (t) => {
        const served = await serve({ guard: { launch } }, (app, served) => {
          app.setErrorHandler((error: { statusCode?: number }, _request, reply) => {
            const until = performance.now() + errorMs
            while (performance.now() < until);
            return reply.code(error.statusCode ?? 500).send('late')
          })
          const scopes: { extend(ms: number): void; readonly remaining: number }[] = []
          app.get(path, { config: { subprocessGuard: { timeout: timeoutMs } } }, async (request) => {
            const child = served.run(request, 'waits.sh', [], { stdio: ['ignore', 'pipe', 'ignore'] })
            scopes.push(request.subprocesses)
            if (path === '/output') await text(child.stdout as never)
            else await once(child, 'close')
            return 'as if nothing had happened'
          })
          // A deadline can only be put off, so that the last to come has the one that all get.
          app.get('/go', { config: { subprocessGuard: false } }, async () => {
            const latest = Math.max(...scopes.map(({ remaining }) => remaining))
            for (const scope of scopes) scope.extend(Math.round(latest - scope.remaining))
            return 'gone'
          })
        })
        t.after(() => served.close())
        const asked = Array.from({ length: count }, () => ask(served.port, path))
        await served.witness.present(count)
        assert.equal((await ask(served.port, '/go').answer).body, 'gone')
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
