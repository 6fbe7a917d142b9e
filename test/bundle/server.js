/** A server to bundle: answers one injected request, prints the outcome, and hangs if `isToHang` is set. */

import { appendFileSync } from 'node:fs'
import Fastify from 'fastify'
import subprocessGuard from 'fastify-subprocess-guard'

// One line per start, so that the test notices when this program is started again, e.g. as the keeper.
appendFileSync(process.env.STARTS, `${process.pid}\n`)
const { isToHang, ...options } = JSON.parse(process.env.GUARD ?? '{}')

async function main() {
  const app = Fastify()
  try {
    app.register(subprocessGuard, options)
    app.get(
      '/',
      async ({ subprocesses }) => (await subprocesses.exec('echo "said, $SUBPROCESS_GUARD_KEEPER"')).stdout
    )
    await app.ready()
    const { containment } = app.subprocessGuard
    console.log(JSON.stringify({ containment, output: (await app.inject('/')).body }))
    if (isToHang) hangForEver()
  } catch ({ code, message }) {
    console.log(JSON.stringify({ code, message }))
  } finally {
    await app.close()
  }
}

function hangForEver() {
  for (;;);
}

void main()
