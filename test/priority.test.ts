/** The option `priority`: the processes of a scope are ranked below the server, which keeps its own rank. */

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { getPriority } from 'node:os'
import { suite, type TestContext, test } from 'node:test'
import Fastify from 'fastify'
import subprocessGuard, { type GuardOptions, type ProcessPriority } from 'fastify-subprocess-guard'
import type * as PrioritiesModule from '../lib/keeper/command-priorities.js'
import type * as PlatformModule from '../lib/platform/current.js'
import type * as EmulatedModule from '../lib/platform/linux/is-emulated.js'
import { compiled } from './harness/compiled.js'
import { eventually } from './harness/expectations.js'
import type { Guarded } from './harness/guarded.js'
import { isTreeLevel } from './harness/level.js'
import { whyNoOther } from './harness/no-room.js'
import { childrenOf, statOf } from './harness/proc.js'
import { type StartWay, saidBy, saidByCommand, startWays } from './harness/start-ways.js'

const { CommandPriorities }: typeof PrioritiesModule = await compiled('keeper/command-priorities')
const { platform }: typeof PlatformModule = await compiled('platform/current')
const { isEmulated }: typeof EmulatedModule = await compiled('platform/linux/is-emulated')

const nobody = 65_534
const isRoot = process.getuid?.() === 0
const hasIonice = spawnSync('ionice', ['-p', `${process.pid}`]).status === 0
const leadsSession = 'a command leads a session there, so that setsid(1) forks and exits at once'
const notLinux = isTreeLevel && 'only Linux has these'
/** Above 500, so that a test in a container that has raised its own can tell the difference. */
const priority: ProcessPriority = { nice: 7, ioClass: 'idle', oomScoreAdj: 900 }
/** What a process tells of itself, in one line. */
const ownPriority = `echo "$(cat /proc/self/oom_score_adj) $(nice) $(ionice -p $$ 2>/dev/null)"`
/** The same of itself, of a child and of an orphan. It waits for the end of the orphan's output. */
const ofThree = `${ownPriority}; sh -c '${ownPriority}'; (sh -c '${ownPriority}' &) | cat`
const wanted = hasIonice ? '900 7 idle' : '900 7 '

async function startBy(way: StartWay, t: TestContext, options: GuardOptions = {}): Promise<Guarded> {
  const guarded = await way.start(options)
  t.after(() => guarded.close())
  return guarded
}

function oomScoreOf(pid: number | undefined): number {
  return Number(readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8'))
}

/** Of the main thread, as `ionice` tells it. */
function ioOf(pid: number): string {
  return spawnSync('ionice', ['-p', `${pid}`], { encoding: 'utf8' }).stdout
}

function ranksOf(pids: readonly number[]): unknown[] {
  return pids.map((pid) => [oomScoreOf(pid), getPriority(pid), hasIonice ? ioOf(pid) : ''])
}

for (const [name, way] of Object.entries(startWays)) {
  suite(`a command that is started in the way "${name}"`, { skip: notLinux || way.skip }, () => {
    test('has the priority of its scope, and so has what it starts', async (t) => {
      // Without the optional dependency there is no I/O class.
      const { ioClass, ...others } = priority
      const given = name === 'marks' ? others : { ...others, ioClass }
      const { guard } = await startBy(way, t, { priority: given as ProcessPriority })
      const lines = await saidBy(guard.open(), ofThree)
      assert.equal(lines.length, 3)
      for (const line of lines) {
        if (name === 'marks') assert.match(line, /^900 7 /)
        else assert.equal(line, wanted)
      }
    })

    test('is killed before the server when memory is full, if nothing is set', async (t) => {
      const { guard } = await startBy(way, t)
      const own = oomScoreOf(process.pid)
      const lines = await saidBy(guard.open(), ofThree)
      assert.equal(lines.length, 3)
      for (const line of lines) {
        assert.equal(Number.parseInt(line, 10), Math.max(500, own))
        assert.equal(Number(line.split(' ')[1]), getPriority())
      }
    })

    test('changes nothing for the server and its keeper, even if it cannot be started', async (t) => {
      const { guard } = await startBy(way, t, { priority })
      const pids = [process.pid, guard.keeper]
      const before = ranksOf(pids)
      const scope = guard.open()
      await scope.execFile('true')
      assert.deepEqual(ranksOf(pids), before)
      await assert.rejects(scope.execFile('/no/such/program'), { code: 'ENOENT' })
      assert.deepEqual(ranksOf(pids), before)
      await assert.rejects(scope.execFile('true', { cwd: '/no/such/folder' }), { code: 'ENOENT' })
      assert.deepEqual(ranksOf(pids), before)
    })

    test('has it as another user, too', {
      skip: isRoot ? whyNoOther() : 'only root can be another user'
    }, async (t) => {
      const { guard } = await startBy(way, t, { priority: { nice: 7, oomScoreAdj: 900 } })
      const lines = await saidBy(guard.open(), `${ownPriority}; id -u`, { uid: nobody, gid: nobody })
      assert.match(lines[0] as string, /^900 7 /)
      assert.equal(lines[1], `${nobody}`)
    })

    test('has it in a session that it begins itself', {
      skip: (name === 'marks' || isEmulated()) && leadsSession
    }, async (t) => {
      const { guard } = await startBy(way, t, { priority: { nice: 7, oomScoreAdj: 900 } })
      const command = ['setsid', 'sh', '-c', `read go; ${ownPriority}`]
      const [line = ''] = await saidByCommand(guard.open(), command)
      assert.match(line, /^900 7 /)
    })
  })
}

suite('a session', {
  skip: !existsSync('/proc/self/autogroup') && 'this kernel does not group sessions'
}, () => {
  test('of a command has the nice value, too, which the kernel compares between sessions', {
    skip: !isRoot && 'without rights, only ten times a second'
  }, async (t) => {
    const { guard } = await startBy(startWays.keeper, t, { priority })
    const [line = ''] = await saidBy(guard.open(), 'cat /proc/self/autogroup')
    assert.match(line, / nice 7$/)
  })
})

suite('an adopted process', { skip: notLinux }, () => {
  test('is killed before the server, and so is what it has started before', async (t) => {
    const guarded = await startBy(startWays.keeper, t, { priority: { nice: 7, oomScoreAdj: 900 } })
    const scope = guarded.guard.open()
    const child = guarded.runApart('background-child.sh')
    await guarded.witness.present(2)
    scope.adopt(child)
    await scope.list()
    const pids = [child.pid as number, ...childrenOf(child.pid as number)]
    assert.ok(pids.length >= 2)
    for (const pid of pids) assert.deepEqual([oomScoreOf(pid), getPriority(pid)], [900, 7])
  })

  test('keeps what ranks it lower', async (t) => {
    const { guard } = await startBy(startWays.keeper, t, { priority: { nice: 7 } })
    const scope = guard.open()
    const child = spawn('nice', ['-n', '15', 'cat'])
    await once(child, 'spawn')
    await eventually('it runs', () => getPriority(child.pid) === 15)
    writeFileSync(`/proc/${child.pid}/oom_score_adj`, '950')
    scope.adopt(child)
    await scope.list()
    assert.deepEqual([oomScoreOf(child.pid), getPriority(child.pid)], [950, 15])
  })

  test('of the option capture has the priority of its request', async (t) => {
    const app = Fastify()
    t.after(() => app.close())
    await app.register(subprocessGuard, { capture: true, priority: { oomScoreAdj: 900 } })
    app.get('/', async ({ subprocesses }) => {
      const child = spawn('cat')
      await once(child, 'spawn')
      await subprocesses.list()
      return { score: oomScoreOf(child.pid) }
    })
    assert.deepEqual((await app.inject('/')).json(), { score: 900 })
  })
})

test('a command has no less than the keeper', { skip: notLinux }, async (t) => {
  const { guard } = await startBy(startWays.keeper, t)
  const own = oomScoreOf(guard.keeper)
  writeFileSync(`/proc/${guard.keeper}/oom_score_adj`, '970')
  const [line = ''] = await saidBy(guard.open(), ownPriority)
  assert.equal(Number.parseInt(line, 10), 970)
  assert.equal(oomScoreOf(guard.keeper), 970)
  writeFileSync(`/proc/${guard.keeper}/oom_score_adj`, `${own}`)
  const [after = ''] = await saidBy(guard.open(), ownPriority)
  assert.equal(Number.parseInt(after, 10), Math.max(500, own))
})

test('a released command keeps it', { skip: notLinux }, async (t) => {
  const { guard, witness, ...guarded } = await startBy(startWays.keeper, t, { priority })
  void guarded
  const scope = guard.open()
  const child = scope.spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'], env: witness.env })
  await once(child, 'spawn')
  scope.release(child)
  await scope.close()
  assert.deepEqual([oomScoreOf(child.pid), getPriority(child.pid)], [900, 7])
  child.stdin.end()
  await once(child, 'exit')
})

suite('the option priority', { skip: notLinux }, () => {
  test('of a route overrides that of the guard key by key', async (t) => {
    const app = Fastify()
    t.after(() => app.close())
    await app.register(subprocessGuard, { priority: { nice: 3, oomScoreAdj: 900 } })
    const config = { subprocessGuard: { priority: { nice: 8 } } }
    app.get('/', { config }, async ({ subprocesses }) => (await saidBy(subprocesses, ownPriority))[0])
    assert.match((await app.inject('/')).body, /^900 8 /)
  })

  test('of a job overrides that of the guard key by key', async (t) => {
    const { guard } = await startBy(startWays.keeper, t, { priority: { nice: 3, oomScoreAdj: 900 } })
    const job = { priority: { oomScoreAdj: 910 } }
    const [line = ''] = await guard.run(job, (scope) => saidBy(scope, ownPriority))
    assert.match(line, /^910 3 /)
  })

  test('knows levels of the class best-effort', {
    skip: !hasIonice && 'ionice(1) is missing'
  }, async (t) => {
    const { guard } = await startBy(startWays.keeper, t, { priority: { ioLevel: 6 } })
    const [line = ''] = await saidBy(guard.open(), ownPriority)
    assert.match(line, /best-effort: prio 6$/)
  })

  test('is warned of once if a part of it has no effect', async (t) => {
    const guarded = await startBy(startWays.marks, t, { priority: { ioClass: 'idle' } })
    const scope = guarded.guard.open()
    for (const _ of [1, 2]) await scope.execFile('true')
    assert.equal(guarded.lines('priority.ioClass has no effect').length, 1)
  })

  test('is not warned of if nobody asked for what has no effect', () => {
    const { oomScores } = platform
    const warnings: string[] = []
    const priorities = new CommandPriorities({ native: undefined, warn: (line) => void warnings.push(line) })
    const refusing = {
      whileRaised: <Result>(_: number, act: () => Result, onFailure: (code: string) => void): Result => {
        onFailure('EROFS')
        return act()
      },
      raise: () => 'EROFS'
    }
    Object.assign(platform, { oomScores: refusing })
    try {
      assert.equal(
        priorities.startWith({ oomScoreAdj: 500, isOomScoreAdjGiven: false }, () => 'started'),
        'started'
      )
      assert.deepEqual(warnings, [])
      for (const _ of [1, 2]) priorities.startWith({ oomScoreAdj: 700, isOomScoreAdjGiven: true }, () => {})
      assert.deepEqual(warnings, ['priority.oomScoreAdj has no effect: EROFS'])
    } finally {
      Object.assign(platform, { oomScores })
    }
  })
})

test('the keeper holds one descriptor for it', { skip: notLinux }, async (t) => {
  const { guard } = await startBy(startWays.keeper, t)
  const scope = guard.open()
  for (const _ of [1, 2, 3]) await scope.execFile('true')
  const { stdout } = await scope.execFile('sh', ['-c', 'ls -l /proc/self/fd | grep -c oom_score_adj; true'])
  assert.equal(stdout.trim(), '0', 'and no command inherits it')
  assert.ok(statOf(guard.keeper) !== undefined)
  const held = spawnSync('ls', ['-l', `/proc/${guard.keeper}/fd`], { encoding: 'utf8' }).stdout
  assert.equal(held.split('\n').filter((line) => line.includes('oom_score_adj')).length, 1)
})
