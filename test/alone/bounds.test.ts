/**
 * However a scope ends and whatever its processes do to survive, all of them are gone within the grace period
 * plus 250 ms. Other files assert that they are gone; only this file asserts how soon, on an otherwise idle
 * machine.
 */

import assert from 'node:assert/strict'
import { suite, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runCli } from '../harness/cli.js'
import { type Asked, ask } from '../harness/client.js'
import { distantMs, passDeadlines } from '../harness/deadlines.js'
import { eventually } from '../harness/expectations.js'
import { type Kind, kinds } from '../harness/kinds.js'
import { type GuardedRequest, goneMs, type Served } from '../harness/served.js'
import { Served as FastifyServed } from '../harness/server.js'
import { StandInKeeper } from '../harness/stand-in-keeper.js'
import { Watched } from '../harness/watched.js'
import { installWithoutKoffi } from '../harness/without-koffi.js'
import { Witness } from '../harness/witness.js'
import { deadlineMs, Worker } from '../harness/worker.js'

const never = (): Promise<never> => new Promise(() => {})
// All four ignore SIGTERM, so they live for the full grace period.
const stubborn = { program: 'tree-ignores-term.sh', count: 4 }

function newWitness(t: TestContext): Witness {
  const witness = new Witness()
  t.after(() => witness.close())
  return witness
}

/** Asserts that all are gone at most `ms` after `endedAt`, a time of `performance.now()`. */
async function assertGoneBy(endedAt: number, ms: number, witnesses: Record<string, Witness>): Promise<void> {
  const left = await Promise.all(
    Object.entries(witnesses).map(async ([what, witness]) => {
      const isGone = await witness.goneWithin(Math.max(0, endedAt + ms - performance.now()))
      return isGone ? [] : `${what}: ${witness.living().map(({ name }) => name)}`
    })
  )
  assert.deepEqual(left.flat(), [], `alive after ${ms} ms`)
}

suite('within the grace period plus 250 ms nothing is alive', () => {
  for (const kind of kinds) {
    test(`of a request, however it ends: ${kind.name}`, async (t) => {
      const [answered, thrown, closed, left, late, shut] = [1, 2, 3, 4, 5, 6].map(() => newWitness(t)) as [
        Witness,
        Witness,
        Witness,
        Witness,
        Witness,
        Witness
      ]
      let goOn = (): void => {}
      const released = new Promise<void>((resolve) => {
        goOn = resolve
      })
      const served = await kind.serve({ guard: { timeout: 2 * distantMs } }, (served) => {
        const start = (
          path: string,
          witness: Witness,
          act: (request: GuardedRequest) => unknown,
          timeout?: number
        ) =>
          served.get(
            path,
            async (request) => {
              served.run(request, stubborn.program, [], { env: witness.env })
              await released
              return act(request)
            },
            timeout === undefined ? undefined : { timeout }
          )
        start('/answers', answered, () => 'answer')
        start('/throws', thrown, () => {
          throw new Error('thrown')
        })
        start('/closes', closed, async (request) => {
          await request.subprocesses.close()
          return never()
        })
        start('/leaves', left, never)
        start('/late', late, never, distantMs)
        start('/shut-down', shut, never)
      })
      t.after(() => served.close())
      const asked = ['/answers', '/throws', '/closes', '/late', '/shut-down'].map((path) =>
        ask(served.port, path)
      )
      const leaving: Asked = ask(served.port, '/leaves')
      const all = { answered, thrown, closed, left, late, shut }
      for (const one of Object.values(all)) await one.present(stubborn.count)

      const endedAt = performance.now()
      goOn()
      leaving.leave()
      await passDeadlines()
      await assertGoneBy(endedAt, goneMs, { answered, thrown, closed, left, late })
      const shutAt = performance.now()
      const stopped = served.close()
      await assertGoneBy(shutAt, goneMs, { shut })
      await stopped
      // Requests that were cut off end with a connection error.
      await Promise.allSettled(asked.map(({ answer }) => answer))
    })
  }

  const programs: [program: string, count: number, args?: string[]][] = [
    ['background-child.sh', 2],
    ['daemon.sh', 2],
    ['own-group.sh', 3],
    ['sibling-ignores-term.sh', 2],
    ['leader-exits.sh', 1],
    ['stops-itself.sh', 2],
    ['holds-stdout.sh', 1],
    ['wide.sh', 101, ['100']],
    ['deep.sh', 50, ['50']],
    [stubborn.program, stubborn.count]
  ]
  const ways: [name: string, serve: Kind['serve']][] = kinds
    .filter(({ name }) => name.startsWith('Fastify'))
    .map(({ name, serve }) => [name, serve])

  for (const [name, serve] of ways) {
    test(`of a tree, whatever it does to survive: ${name}`, (t) => assertTreesGone(t, serve))
  }

  test('of a tree, whatever it does to survive: without koffi', async (t) => {
    const { plugin, remove } = await installWithoutKoffi()
    t.after(remove)
    await assertTreesGone(t, (setup, routes) =>
      new FastifyServed({ ...setup, plugin }).start((_app, served) => routes(served))
    )
  })

  /** Runs each program in its own request. All requests are answered at the same moment. */
  async function assertTreesGone(t: TestContext, serve: Kind['serve']): Promise<void> {
    const witnesses = Object.fromEntries(programs.map(([program]) => [program, newWitness(t)]))
    let answer = (): void => {}
    const answered = new Promise<void>((resolve) => {
      answer = resolve
    })
    const served: Served = await serve({}, (served) => {
      for (const [program, , args = []] of programs) {
        served.get(`/${program}`, async (request) => {
          served.run(request, program, args, { env: (witnesses[program] as Witness).env })
          await answered
          return 'answer'
        })
      }
    })
    t.after(() => served.close())
    const asked = programs.map(([program]) => ask(served.port, `/${program}`).answer)
    for (const [program, count] of programs) await witnesses[program]?.present(count)
    const endedAt = performance.now()
    answer()
    await assertGoneBy(endedAt, goneMs, witnesses)
    await Promise.all(asked)
  }

  for (const launch of ['keeper', 'direct'] as const) {
    test(`of a worker, however it ends (${launch})`, async (t) => {
      const deaths: Record<string, (worker: Worker) => void> = {
        killed: (worker) => worker.kill('SIGKILL'),
        terminated: (worker) => worker.kill('SIGTERM'),
        exited: (worker) => worker.end('exit'),
        aborted: (worker) => worker.end('abort'),
        thrown: (worker) => worker.end('throw')
      }
      const start = async (): Promise<Worker> => {
        const worker = await Worker.start({ launch })
        t.after(() => worker.close())
        for (const program of ['waits.sh', 'daemon.sh', stubborn.program]) worker.run(program)
        await worker.witness.present(1 + 2 + stubborn.count)
        return worker
      }
      const workers = await Promise.all(Object.keys(deaths).map(start))
      for (const [how, die] of Object.entries(deaths)) {
        const worker = workers.pop() as Worker
        die(worker)
        await worker.dead()
        await assertGoneBy(performance.now(), goneMs, { [how]: worker.witness })
      }
    })
  }

  for (const launch of ['keeper', 'direct'] as const) {
    test(`of a request whose deadline passes while the event loop is blocked (${launch})`, async (t) => {
      const worker = await Worker.start({ launch })
      t.after(() => worker.close())
      await worker.block(stubborn.program, 'wait', stubborn.count)
      await assertGoneBy(performance.now() + deadlineMs, goneMs, { blocked: worker.witness })
    })
  }
})

// A heartbeat until the silence is noticed, and the start of the process that runs the hook.
const noticedMs = 2_000

test('the hook workerAbort is called soon after workerTimeout and the grace', async (t) => {
  const workerTimeout = 1_000
  const hooks = fileURLToPath(new URL('../../../test/programs/hooks/witnessed.mjs', import.meta.url))
  const worker = await Worker.start({ options: { workerTimeout, hooks } })
  t.after(() => worker.close())
  await worker.hang(stubborn.program, 'wait', stubborn.count)
  const isCalled = (): boolean => worker.said('workerAbort').length > 0
  await eventually('the hook is called', isCalled, workerTimeout + noticedMs + goneMs)
})

test('a stack of 1,500 frames is reported within the time limit for a stack sample', async (t) => {
  const worker = await Watched.start()
  t.after(() => worker.close())
  await worker.block('fastify-sync', 'too-deep')
  const where = await worker.door.where()
  assert.equal(where.type, 'stack', JSON.stringify(where))
  assert.match(where.stack, /and 1\d\d\d frames more$/)
  assert.equal(where.route, 'GET /fastify-sync/:block')
})

test('subprocess-guard ps waits no more than about five seconds for a keeper that does not answer', async (t) => {
  const keeper = await StandInKeeper.start()
  t.after(() => keeper.close())
  const startedAt = performance.now()
  const { stdout } = await runCli(['ps', '--json'])
  const ms = performance.now() - startedAt
  assert.match(stdout, /its keeper has not answered within 5000 ms/)
  assert.ok(ms < 8_000, `it took ${ms} ms`)
})
