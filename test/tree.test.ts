/** Every process of a scope ends, whatever the tree does to stay (FAULTS 12 to 14, 16 to 21, 24, 30, 36, 45, 48). */

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

const ways: readonly (Pick<Kind, 'name' | 'serve'> & { readonly containment: string })[] = [
  ...kinds.map((kind) => ({ ...kind, containment: 'subreaper' })),
  { name: 'Fastify, containment "marks"', serve: serveWithoutKoffi, containment: 'marks' }
]
const [fastify] = kinds as [Kind]

interface Case {
  readonly law: string
  readonly program: string
  readonly args?: string[]
  /** How many processes announce themselves. */
  readonly count: number
  /** How each ended, as the log says. */
  readonly ended: Record<string, number>
}

const cases: Case[] = [
  {
    law: 'a shell with a child in the background',
    program: 'background-child.sh',
    count: 2,
    ended: { SIGTERM: 2 }
  },
  { law: 'a daemon that left its session', program: 'daemon.sh', count: 2, ended: { SIGTERM: 2 } },
  { law: 'a child in a group of its own', program: 'own-group.sh', count: 3, ended: { SIGTERM: 3 } },
  {
    law: 'a sibling that ignores SIGTERM when its leader has gone',
    program: 'sibling-ignores-term.sh',
    count: 2,
    ended: { SIGTERM: 1, SIGKILL: 1 }
  },
  {
    law: 'what a leader that exited with 0 has left',
    program: 'leader-exits.sh',
    count: 1,
    ended: { SIGTERM: 1 }
  },
  { law: 'a tree that ignores SIGTERM', program: 'tree-ignores-term.sh', count: 4, ended: { SIGKILL: 4 } },
  { law: 'a stopped tree', program: 'stops-itself.sh', count: 2, ended: { SIGTERM: 2 } },
  {
    law: 'a hundred processes side by side',
    program: 'wide.sh',
    args: ['100'],
    count: 101,
    ended: { SIGTERM: 101 }
  }
]

/**
 * Cases whose point is the number of processes. How a command is launched and how its processes are found make a difference
 * to them, and the framework makes none: to it the end of ten processes is that of a thousand.
 */
const masses: Case[] = [
  // More than are looked at before the first signal, and the last of them are in none of the groups that get it.
  {
    law: 'hundreds of processes, some of them in sessions of their own',
    program: 'wide-scattered.sh',
    args: ['300'],
    count: 331,
    ended: { SIGTERM: 331 }
  }
]
const isFastify = ({ name }: Pick<Kind, 'name'>): boolean => name.startsWith('Fastify')

/** A server whose route starts the program, waits for its processes, and answers. */
function serveProgram(
  { serve }: Pick<Kind, 'serve'>,
  setup: ServedSetup,
  { program, args, count }: Pick<Case, 'program' | 'args' | 'count'>
): Promise<Served> {
  return serve(setup, (served) => {
    served.get('/run', async (request) => {
      const subprocess = served.run(request, program, args)
      await served.witness.present(count)
      // What exits by itself has done so before the scope closes.
      if (program === 'leader-exits.sh' && subprocess.exitCode === null) await once(subprocess, 'exit')
      return 'answer'
    })
  })
}

for (const way of ways) {
  suite(`${way.name}: the end of a request ends`, () => {
    // The guards of another copy of the package have another keeper.
    if (way.containment === 'marks') shareKeeper(() => withoutKoffi.createGuard({ logger: silent }))

    for (const { law, ended, ...given } of isFastify(way) ? [...cases, ...masses] : cases) {
      test(law, async (t) => {
        const served = await serveProgram(way, {}, given)
        t.after(() => served.close())
        assert.equal(served.guard.containment, way.containment)
        await ask(served.port, '/run').answer
        await assertGone(served)
        const { processes } = await assertOneLine(served, 'finished')
        const counted: Record<string, number> = {}
        for (const { ended } of processes) counted[ended] = (counted[ended] ?? 0) + 1
        // The log names at most fifty.
        if (processes.length < 50) assert.deepEqual(counted, ended)
        await assertClean(served)
      })
    }

    test('a process that tidies up when asked, as soon as it has done so', async (t) => {
      const program = { program: 'finishes-on-term.sh', count: 1 }
      const served = await serveProgram(way, { guard: { grace: 30_000 } }, program)
      t.after(() => served.close())
      await ask(served.port, '/run').answer
      await served.witness.heard('tidied')
      await assertGone(served)
      await assertClean(served)
    })

    test('what was started by a handler of the first signal and outlives it', async (t) => {
      const program = { program: 'starts-another-on-term.sh', count: 1 }
      const served = await serveProgram(way, { guard: { grace: 30_000 } }, program)
      t.after(() => served.close())
      await ask(served.port, '/run').answer
      await served.witness.present(2)
      await assertGone(served)
      await assertClean(served)
    })

    // The framework makes no difference to these.
    if (isFastify(way)) {
      test('a process that tidies up, and gives it the whole grace though the machine was paused', async (t) => {
        const done = join(mkdtempSync(join(tmpdir(), 'tidies-')), 'done')
        t.after(() => rmSync(dirname(done), { recursive: true }))
        const program = { program: 'tidies-slowly.sh', args: [done], count: 1 }
        const served = await serveProgram(way, { guard: { grace: 2_000 } }, program)
        t.after(() => served.close())
        await ask(served.port, '/run').answer
        await served.witness.heard('asked')
        const frozen = [served.guard.keeper, ...served.witness.living().map(({ pid }) => pid)]
        for (const pid of frozen) process.kill(pid, 'SIGSTOP')
        await pause(2_500)
        writeFileSync(done, '')
        // The worst order: the keeper goes on first, and with it the others.
        process.kill(served.guard.keeper, 'SIGCONT')
        await assertGone(served)
        assert.deepEqual(served.witness.said, ['asked', 'tidied'])
        const { processes } = await assertOneLine(served, 'finished')
        for (const { ended } of processes) assert.equal(ended, 'SIGTERM')
      })

      test('a thousand processes side by side', async (t) => {
        const served = await serveProgram(way, {}, { program: 'wide.sh', args: ['1000'], count: 1001 })
        t.after(() => served.close())
        await ask(served.port, '/run').answer
        await assertGone(served)
        await assertClean(served)
      })

      test('a chain of two hundred processes', async (t) => {
        const served = await serveProgram(way, {}, { program: 'deep.sh', args: ['200'], count: 200 })
        t.after(() => served.close())
        await ask(served.port, '/run').answer
        await assertGone(served)
        await assertClean(served)
      })
    }

    test('a tree with a zombie in it, and does not wait for that', async (t) => {
      const served = await way.serve({ guard: { grace: 30_000 } }, (served) => {
        served.get('/run', async (request) => {
          served.run(request, 'leaves-a-zombie.sh')
          const [parent] = await served.witness.present(1)
          const zombie = Number(parent?.name.split('-').at(-1))
          await eventually('the shell is no shell any more', () => nameOf(parent?.pid as number) === 'sleep')
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
        'the zombie counts as alive'
      )
      await assertClean(served)
    })

    test('nothing of anybody else: neither a stranger with an empty or a similar mark, nor another scope', async (t) => {
      let mark = ''
      const served = await way.serve({}, (served) => {
        served.get('/run', async (request) => {
          served.run(request, 'daemon.sh')
          const [announced] = await served.witness.present(2)
          mark = markOf(announced?.pid as number)
          for (const similar of ['', mark.slice(0, -1), `${mark}0`, mark.replace(/\d+$/, ''), '/']) {
            strangers.push(spawnMarked(similar))
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
      const strangers: ChildProcess[] = []
      t.after(async () => {
        for (const stranger of strangers) stranger.kill('SIGKILL')
        await served.close()
      })
      const other = ask(served.port, '/other')
      await eventually('the other scope runs', () => others.length === 1)
      await ask(served.port, '/run').answer
      await assertGone(served)
      await eventually('the scope is closed', () => served.guard.scopes().length === 1)
      assert.equal(strangers.length, 5)
      for (const pid of [...strangers.map(({ pid }) => pid), ...others]) assert.ok(lives(pid))
      other.leave()
      await assertClean(served)
    })
  })
}

test('a stranger with the very mark of a scope ends with it, where marks are what is looked for', async (t) => {
  const strangers: ChildProcess[] = []
  const served = await serveWithoutKoffi({}, (served) => {
    served.get('/run', async (request) => {
      served.run(request, 'waits.sh')
      const [announced] = await served.witness.present(1)
      strangers.push(spawnMarked(markOf(announced?.pid as number)))
      return 'answer'
    })
  })
  t.after(() => served.close())
  await ask(served.port, '/run').answer
  const [stranger] = strangers as [ChildProcess]
  if (stranger.signalCode === null) await once(stranger, 'exit')
  assert.equal(stranger.signalCode, 'SIGTERM')
})

for (const [daemon, file] of [
  ['emptied its environment', 'daemon-empty-environment.sh'],
  ['blanked its mark', 'daemon-blank-mark.sh']
] as const) {
  suite(`a daemon that left its session and ${daemon}`, () => {
    const program = { program: file, count: 2 }

    test('ends with its scope, where the keeper is a subreaper', async (t) => {
      const served = await serveProgram(fastify, {}, program)
      t.after(() => served.close())
      await ask(served.port, '/run').answer
      await assertGone(served)
      await assertOneLine(served, 'finished')
      await assertClean(served)
    })

    test('lives for as long as a scope that could have started it, and no longer', async (t) => {
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
      assert.deepEqual(served.witness.living(), [daemon], 'nothing says that it is not the older scope’s')
      older.leave()
      await assertGone(served)
      await assertClean(served)
    })

    // A direct launch may see it in time or not: the keeper looks at the tree as soon as it hears of it.
    test('escapes where koffi is missing, as the README says', async (t) => {
      const served = await serveProgram({ serve: serveWithoutKoffi }, {}, program)
      t.after(() => served.close())
      await ask(served.port, '/run').answer
      await assertLeft(served, 1)
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

test('what a leader has left in its group, without an environment, ends with its scope beside an older one', async (t) => {
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
  for (const { law, ended: _, ...given } of [...cases, ...masses]) {
    test(`${law}: all of it is left`, async (t) => {
      const served = await serveProgram(fastify, { guard: false }, given)
      t.after(() => served.close())
      await ask(served.port, '/run').answer
      await assertLeft(served, given.count)
    })
  }
})

suite('where koffi is missing', () => {
  test('the log says so once, however many guards there are', async (t) => {
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
      // The kernel shows the environment of a process a moment after its start: when it answers, it is there.
      const subprocess = request.spawn('cat')
      subprocess.stdin.write('there')
      await once(subprocess.stdout, 'data')
      mark = markOf(subprocess.pid as number)
      return 'answer'
    })
  })
  t.after(() => served.close())
  await ask(served.port, '/run').answer
  assert.match(
    mark,
    new RegExp(`^[0-9a-f-]{36}\\.\\d+\\.${process.pid}\\.\\d+\\.[0-9a-f]{8}(~[0-9a-z-]+)?/\\d+$`)
  )
})

/** The name that the kernel has of a process: that of its program. */
function nameOf(pid: number): string {
  return readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
}

/** The mark in the environment of a process. */
function markOf(pid: number): string {
  const entry = environmentOf(pid).find((entry) => entry.startsWith(`${markName}=`))
  assert.ok(entry !== undefined, `${pid} has no mark`)
  return entry.slice(markName.length + 1)
}

/** A process of nobody's, with that mark. */
function spawnMarked(mark: string): ChildProcess {
  return spawn('sleep', ['1000'], { stdio: 'ignore', env: { ...process.env, [markName]: mark } })
}
