/**
 * Every process of a scope ends, whatever its tree does to survive (docs/faults.md, 12 to 14, 16 to 21, 24,
 * 30, 36, 45, 48).
 */

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { suite, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { ask } from './harness/client.js'
import { assertClean, assertGone, assertLeft, assertOneLine, eventually } from './harness/expectations.js'
import { Guarded } from './harness/guarded.js'
import { type Kind, kinds } from './harness/kinds.js'
import { bestLevel, isTreeLevel, levelWithoutKoffi, notAtMarks, notBelowCgroup } from './harness/level.js'
import { childrenOf, environmentOf, lives, statOf } from './harness/proc.js'
import { grace, type Served, type ServedSetup } from './harness/served.js'
import { Served as FastifyServed, serve } from './harness/server.js'
import { shareKeeper } from './harness/shared-keeper.js'
import { installWithoutKoffi } from './harness/without-koffi.js'

shareKeeper()

const silent = { info() {}, warn() {}, error() {} }
const markName = 'SUBPROCESS_GUARD_MARK'
const withoutKoffi = await installWithoutKoffi()
process.once('exit', withoutKoffi.remove)

const serveWithoutKoffi: Kind['serve'] = (setup, routes) =>
  new FastifyServed({ ...setup, plugin: withoutKoffi.plugin }).start((_app, served) => routes(served))

const setups: readonly (Pick<Kind, 'name' | 'serve'> & { readonly containment: string })[] = [
  ...kinds.map((kind) => ({ ...kind, containment: bestLevel })),
  ...(isTreeLevel
    ? []
    : [{ name: 'Fastify, containment "marks"', serve: serveWithoutKoffi, containment: levelWithoutKoffi }])
]
const [fastify] = kinds as [Kind]

interface Case {
  readonly title: string
  readonly program: string
  readonly args?: string[]
  /** How many processes announce themselves. */
  readonly count: number
  /** How many processes ended in each way, according to the log. */
  readonly ended: Record<string, number>
}

const cases: Case[] = [
  {
    title: 'a shell with a child in the background',
    program: 'background-child.sh',
    count: 2,
    ended: { SIGTERM: 2 }
  },
  { title: 'a daemon that left its session', program: 'daemon.sh', count: 2, ended: { SIGTERM: 2 } },
  { title: 'a child in a group of its own', program: 'own-group.sh', count: 3, ended: { SIGTERM: 3 } },
  {
    title: 'a sibling that ignores SIGTERM when its leader has exited',
    program: 'sibling-ignores-term.sh',
    count: 2,
    ended: { SIGTERM: 1, SIGKILL: 1 }
  },
  {
    title: 'a child that is left by a leader that exited with 0',
    program: 'leader-exits.sh',
    count: 1,
    ended: { SIGTERM: 1 }
  },
  { title: 'a tree that ignores SIGTERM', program: 'tree-ignores-term.sh', count: 4, ended: { SIGKILL: 4 } },
  { title: 'a stopped tree', program: 'stops-itself.sh', count: 2, ended: { SIGTERM: 2 } },
  {
    title: 'a hundred processes side by side',
    program: 'wide.sh',
    args: ['100'],
    count: 101,
    ended: { SIGTERM: 101 }
  }
]

/**
 * Cases with many processes. They depend on how a command is launched and how its processes are found, but
 * not on the framework, for which the end of ten processes is the same as that of a thousand.
 */
const largeCases: Case[] = [
  // More processes than are scanned before the first signal. The last of them are in none of the groups that
  // get it.
  {
    title: 'hundreds of processes, some of them in their own sessions',
    program: 'wide-scattered.sh',
    args: ['300'],
    count: 331,
    ended: { SIGTERM: 331 }
  }
]
const isFastify = ({ name }: Pick<Kind, 'name'>): boolean => name.startsWith('Fastify')

/** A server whose route starts a program, waits for its processes, and then answers. */
function serveProgram(
  { serve }: Pick<Kind, 'serve'>,
  setup: ServedSetup,
  { program, args, count }: Pick<Case, 'program' | 'args' | 'count'>
): Promise<Served> {
  return serve(setup, (served) => {
    served.get('/run', async (request) => {
      const subprocess = served.run(request, program, args)
      await served.witness.present(count)
      // A leader that exits by itself has exited before the scope closes.
      if (program === 'leader-exits.sh' && subprocess.exitCode === null) await once(subprocess, 'exit')
      return 'answer'
    })
  })
}

for (const setup of setups) {
  suite(`${setup.name}: the end of a request ends`, () => {
    // Guards of another copy of the package use another keeper.
    if (setup.serve === serveWithoutKoffi) shareKeeper(() => withoutKoffi.createGuard({ logger: silent }))

    for (const { title, ended, ...program } of isFastify(setup) ? [...cases, ...largeCases] : cases) {
      test(title, async (t) => {
        const served = await serveProgram(setup, {}, program)
        t.after(() => served.close())
        assert.equal(served.guard.containment, setup.containment)
        await ask(served.port, '/run').answer
        await assertGone(served)
        const { processes } = await assertOneLine(served, 'finished')
        const counted: Record<string, number> = {}
        for (const { ended } of processes) counted[ended] = (counted[ended] ?? 0) + 1
        // The log lists at most fifty processes.
        if (processes.length < 50) assert.deepEqual(counted, ended)
        await assertClean(served)
      })
    }

    test('a process that cleans up on SIGTERM, without waiting for the full grace period', async (t) => {
      const program = { program: 'finishes-on-term.sh', count: 1 }
      const served = await serveProgram(setup, { guard: { grace: 30_000 } }, program)
      t.after(() => served.close())
      await ask(served.port, '/run').answer
      await served.witness.heard('tidied')
      await assertGone(served)
      await assertClean(served)
    })

    test('a process that was started by a SIGTERM handler and outlives it', async (t) => {
      const program = { program: 'starts-another-on-term.sh', count: 1 }
      const served = await serveProgram(setup, { guard: { grace: 30_000 } }, program)
      t.after(() => served.close())
      await ask(served.port, '/run').answer
      await served.witness.present(2)
      await assertGone(served)
      await assertClean(served)
    })

    // These do not depend on the framework.
    if (isFastify(setup)) {
      test('a process that cleans up, which gets its full grace period although the machine was paused', async (t) => {
        const done = join(mkdtempSync(join(tmpdir(), 'tidies-')), 'done')
        t.after(() => rmSync(dirname(done), { recursive: true }))
        const program = { program: 'tidies-slowly.sh', args: [done], count: 1 }
        const served = await serveProgram(setup, { guard: { grace: 4_000 } }, program)
        t.after(() => served.close())
        await ask(served.port, '/run').answer
        await served.witness.heard('asked')
        const frozen = [served.guard.keeper, ...served.witness.living().map(({ pid }) => pid)]
        for (const pid of frozen) process.kill(pid, 'SIGSTOP')
        await pause(2_500)
        writeFileSync(done, '')
        // The worst order: the keeper continues first.
        process.kill(served.guard.keeper, 'SIGCONT')
        await assertGone(served)
        assert.deepEqual(served.witness.said, ['asked', 'tidied'])
        const { processes } = await assertOneLine(served, 'finished')
        for (const { ended } of processes) assert.equal(ended, 'SIGTERM')
      })

      test('a thousand processes side by side', async (t) => {
        const served = await serveProgram(setup, {}, { program: 'wide.sh', args: ['1000'], count: 1001 })
        t.after(() => served.close())
        await ask(served.port, '/run').answer
        await assertGone(served)
        await assertClean(served)
      })

      test('a chain of two hundred processes', async (t) => {
        const served = await serveProgram(setup, {}, { program: 'deep.sh', args: ['200'], count: 200 })
        t.after(() => served.close())
        await ask(served.port, '/run').answer
        await assertGone(served)
        await assertClean(served)
      })
    }

    test('a tree that contains a zombie, without waiting for the zombie', async (t) => {
      const served = await setup.serve({ guard: { grace: 30_000 } }, (served) => {
        served.get('/run', async (request) => {
          served.run(request, 'leaves-a-zombie.sh')
          const [parent] = await served.witness.present(1)
          const zombie = Number(parent?.name.split('-').at(-1))
          await eventually('the shell has executed sleep', () => nameOf(parent?.pid as number) === 'sleep')
          process.kill(zombie, 'SIGKILL')
          await eventually('the child is a zombie', () => statOf(zombie)?.state === 'Z')
          return 'answer'
        })
      })
      t.after(() => served.close())
      assert.equal((await ask(served.port, '/run').answer).body, 'answer')
      const [parent] = served.witness.announced
      await assertGone(served)
      const { processes } = await assertOneLine(served, 'finished')
      assert.deepEqual(
        processes.map(({ pid }) => pid),
        [parent?.pid],
        'the zombie was counted as alive'
      )
      await assertClean(served)
    })

    test('nothing else: no process with an empty or similar mark, and no other scope', async (t) => {
      let mark = ''
      const served = await setup.serve({}, (served) => {
        served.get('/run', async (request) => {
          served.run(request, 'daemon.sh')
          const [announced] = await served.witness.present(2)
          mark = markOf(announced?.pid as number)
          for (const similar of ['', mark.slice(0, -1), `${mark}0`, mark.replace(/\d+$/, ''), '/']) {
            unrelated.push(spawnMarked(similar))
          }
          return 'answer'
        })
        served.get('/other', async (request) => {
          const other = request.spawn('cat', [], { stdio: ['pipe', 'ignore', 'ignore'] })
          if (other.pid === undefined) await once(other, 'spawn')
          others.push(other.pid as number)
          await once(other, 'exit')
          return 'ended by itself'
        })
      })
      const others: number[] = []
      const unrelated: ChildProcess[] = []
      t.after(async () => {
        for (const child of unrelated) child.kill('SIGKILL')
        await served.close()
      })
      const other = ask(served.port, '/other')
      await eventually('the other scope runs', () => others.length === 1)
      await ask(served.port, '/run').answer
      await assertGone(served)
      await eventually('the scope is closed', () => served.guard.scopes().length === 1)
      assert.equal(unrelated.length, 5)
      for (const pid of [...unrelated.map(({ pid }) => pid), ...others]) assert.ok(lives(pid))
      other.leave()
      await assertClean(served)
    })
  })
}

test('where processes are found by marks, an unrelated process with the mark of a scope ends with it', {
  skip: notAtMarks
}, async (t) => {
  const unrelated: ChildProcess[] = []
  const served = await serveWithoutKoffi({}, (served) => {
    served.get('/run', async (request) => {
      served.run(request, 'waits.sh')
      const [announced] = await served.witness.present(1)
      unrelated.push(spawnMarked(markOf(announced?.pid as number)))
      return 'answer'
    })
  })
  t.after(() => served.close())
  await ask(served.port, '/run').answer
  const [child] = unrelated as [ChildProcess]
  if (child.signalCode === null) await once(child, 'exit')
  assert.equal(child.signalCode, 'SIGTERM')
})

for (const [daemon, file] of [
  ['emptied its environment', 'daemon-empty-environment.sh'],
  ['blanked its mark', 'daemon-blank-mark.sh']
] as const) {
  suite(`a daemon that left its session and ${daemon}`, () => {
    const program = { program: file, count: 2 }

    test('ends with its scope when the keeper is a subreaper', { skip: isTreeLevel }, async (t) => {
      const served = await serveProgram(fastify, {}, program)
      t.after(() => served.close())
      await ask(served.port, '/run').answer
      await assertGone(served)
      await assertOneLine(served, 'finished')
      await assertClean(served)
    })

    // At the level `cgroup`, only the cgroup of its scope counts (see cgroup.test.ts).
    test('lives as long as a scope is open that could have started it, and no longer', {
      skip: isTreeLevel || notBelowCgroup
    }, async (t) => {
      const served = await serve({}, (app, served) => {
        app.get('/older', async (request) => {
          request.spawn('sleep', ['1000'], { stdio: 'ignore' })
          await new Promise(() => {})
        })
        app.get('/run', async (request) => {
          served.run(request, program.program)
          await served.witness.present(program.count)
          return 'answer'
        })
      })
      t.after(() => served.close())
      const older = ask(served.port, '/older')
      const guard = served.app.subprocessGuard
      await eventually('the older scope runs', () => childrenOf(guard.keeper).length === 1)
      await ask(served.port, '/run').answer
      await eventually('the scope of the request is closed', () => guard.scopes().length === 1)
      const daemon = served.witness.announced.find(({ name }) => name === 'daemon')
      assert.deepEqual(
        served.witness.living(),
        [daemon],
        'nothing shows that the daemon is not of the older scope'
      )
      older.leave()
      await assertGone(served)
      await assertClean(served)
    })

    // Not tested for direct launch, where the keeper may or may not scan the tree in time to see the daemon.
    test('escapes without koffi, as the README says', { skip: notAtMarks }, async (t) => {
      const served = await serveProgram({ serve: serveWithoutKoffi }, {}, program)
      t.after(() => served.close())
      await ask(served.port, '/run').answer
      await assertLeft(served, 1)
      await eventually('the scope is closed', () => served.guard.scopes().length === 0)
      assert.deepEqual(
        served.witness.living().map(({ name }) => name),
        ['daemon']
      )
    })

    test('is left without the guard', async (t) => {
      const served = await serveProgram(fastify, { guard: false }, program)
      t.after(() => served.close())
      await ask(served.port, '/run').answer
      await assertLeft(served, 2)
    })
  })
}

test('a process without an environment that is left in the group of its leader ends with its scope, although an older scope is open', async (t) => {
  const guarded = await Guarded.start()
  t.after(() => guarded.close())
  const older = guarded.guard.open()
  older.spawn('sleep', ['1000'], { stdio: 'ignore' })
  const scope = guarded.guard.open()
  const stdio = ['pipe', 'ignore', 'ignore'] as const
  const leader = guarded.run(scope, 'leaves-empty-environment.sh', [], { stdio: [...stdio] })
  await guarded.witness.present(1)
  leader.stdin?.write('exit\n')
  await once(leader, 'exit')
  await scope.close()
  await assertGone(guarded)
  assert.equal((await older.list()).length, 1)
})

suite('without the guard', { concurrency: true }, () => {
  for (const { title, ended: _, ...program } of [...cases, ...largeCases]) {
    test(`${title}: everything is left`, async (t) => {
      const served = await serveProgram(fastify, { guard: false }, program)
      t.after(() => served.close())
      await ask(served.port, '/run').answer
      await assertLeft(served, program.count)
    })
  }
})

suite('without koffi', () => {
  test('the log says so once, regardless of the number of guards', {
    skip: isTreeLevel || notAtMarks
  }, async (t) => {
    const { plugin } = withoutKoffi
    const served = await serve({ guard: false }, (app) => {
      for (const _ of ['one context', 'another']) {
        app.register(async (child) => {
          await child.register(plugin, { grace })
        })
      }
    })
    t.after(() => served.close())
    const lines = served.log.filter(({ containment }) => containment === 'marks')
    assert.equal(lines.length, 1)
    assert.match(lines[0]?.msg ?? '', /containment is "marks"/)
    assert.match(String(lines[0]?.why), /koffi/)
  })
})

test('the mark of a subprocess names its worker and is never empty', async (t) => {
  let mark = ''
  const served = await serve({}, (app) => {
    app.get('/run', async (request) => {
      // The kernel shows the environment of a process shortly after its start: it does when the process has
      // answered.
      const subprocess = request.spawn('cat')
      subprocess.stdin.write('there')
      await once(subprocess.stdout, 'data')
      mark = markOf(subprocess.pid as number)
      return 'answer'
    })
  })
  t.after(() => served.close())
  await ask(served.port, '/run').answer
  const boot = isTreeLevel ? 'boot-\\d+' : '[0-9a-f-]{36}'
  assert.match(mark, new RegExp(`^${boot}\\.\\d+\\.${process.pid}\\.\\d+\\.[0-9a-f]{8}(~[0-9a-z-]+)?/\\d+$`))
})

/** The kernel's name of a process, which is that of its program. */
function nameOf(pid: number): string {
  return readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
}

/** The mark in the environment of a process. */
function markOf(pid: number): string {
  const entry = environmentOf(pid).find((entry) => entry.startsWith(`${markName}=`))
  assert.ok(entry !== undefined, `${pid} has no mark`)
  return entry.slice(markName.length + 1)
}

/** Starts a process outside of all scopes, with this mark. */
function spawnMarked(mark: string): ChildProcess {
  return spawn('sleep', ['1000'], { stdio: 'ignore', env: { ...process.env, [markName]: mark } })
}
