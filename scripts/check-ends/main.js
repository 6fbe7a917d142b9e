// Checks that on this system a deadline, a killed keeper and a killed worker leave nothing of a tree of shells with a daemon: `main.js LEVEL`.
// LEVEL is the containment level that the guard must reach. It needs a POSIX shell with mkfifo and setsid.
// `npm test` checks far more, but needs more programs and a fast processor.
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { Tree, withinMs } from './tree.js'

const level = process.argv[2] ?? assert.fail('usage: main.js LEVEL')
const command = fileURLToPath(
  import.meta
    .resolve('fastify-subprocess-guard/package.json')
    .replace(/package\.json$/, 'dist/cli/subprocess-guard.js')
)
const folder = mkdtempSync(join(tmpdir(), 'ends-'))
// The keepers of this check end nothing that others have left.
process.env.SUBPROCESS_GUARD_REALM = `ends-${process.pid}`
const workers = []
try {
  await check()
} finally {
  for (const worker of workers) worker.kill('SIGKILL')
  rmSync(folder, { recursive: true })
}

async function check() {
  // Negative control. It also tells how long a tree takes to begin here.
  const unguarded = await startWorker()
  const startedAt = performance.now()
  const left = await begin(unguarded, '/')
  const deadlineMs = Math.ceil(Math.max(3_000, 6 * (performance.now() - startedAt)))
  unguarded.worker.kill('SIGKILL')
  await left.answer
  await left.tree.assertAlive()
  console.log('without the guard, a killed worker leaves a whole tree')

  const guarded = await startWorker(deadlineMs)
  assert.equal(guarded.containment, level)
  console.log(`with the guard, Node ${process.version} on ${process.arch}, containment "${level}"`)

  assert.equal(await answerTo(guarded, '/', ['no-such-program']), '500 ENOENT')
  console.log('  a command that does not exist is reported')

  const late = await begin(guarded, '/deadline')
  assert.equal(await late.answer, '503 ERR_SUBPROCESS_DEADLINE')
  await late.tree.assertGone()
  console.log(`  a deadline of ${deadlineMs} ms leaves nothing`)

  const seen = await begin(guarded, '/')
  const list = execFileSync(process.execPath, [command, 'ps'], { encoding: 'utf8', maxBuffer: 2 ** 28 })
  assert.match(list, new RegExp(`^worker ${guarded.worker.pid} `, 'm'))
  await seen.tree.assertAlive()
  assert.equal(await seen.answer, '200 ended with 0')
  console.log('  ps shows the worker, and its tree ends by itself')

  const orphaned = await begin(guarded, '/')
  process.kill(guarded.keeper, 'SIGKILL')
  assert.equal(await orphaned.answer, '503 ERR_SUBPROCESS_KEEPER_LOST')
  await orphaned.tree.assertGone()
  console.log('  a killed keeper leaves nothing')

  const abandoned = await begin(guarded, '/')
  guarded.worker.kill('SIGKILL')
  await abandoned.tree.assertGone()
  console.log('  a killed worker leaves nothing')
}

/** Starts a worker, with the guard if there is a deadline. Resolves when it listens. */
async function startWorker(...args) {
  const server = fileURLToPath(new URL('server.js', import.meta.url))
  const worker = spawn(process.execPath, [server, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  workers.push(worker)
  const [line] = await once(createInterface({ input: worker.stdout }), 'line')
  return { ...JSON.parse(line), worker }
}

/** Requests a tree. Resolves when all its processes have begun. */
async function begin(worker, path) {
  const tree = new Tree(folder)
  const answer = answerTo(worker, path, tree.command)
  const early = answer.then((answer) => assert.fail(`answered before the tree had begun: ${answer}`))
  await Promise.race([tree.begin(), early])
  return { tree, answer }
}

/** Status and body, or the error of a connection that was cut. */
function answerTo({ port }, path, command) {
  const query = new URLSearchParams(command.map((word) => ['command', word]))
  return new Promise((resolve) => {
    get(
      {
        host: '127.0.0.1',
        port,
        path: `${path}?${query}`,
        agent: false,
        signal: AbortSignal.timeout(withinMs)
      },
      async (response) => {
        resolve(`${response.statusCode} ${await text(response)}`)
      }
    ).once('error', ({ code }) => resolve(code))
  })
}
