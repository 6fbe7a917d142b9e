/**
 * A sweep ends what a worker and its keeper left when both were killed, and nothing else (docs/faults.md,
 * 42).
 */

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, suite, type TestContext, test } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type * as ReleaseRegistryModule from '../lib/containment/release-registry.js'
import { compiled } from './harness/compiled.js'
import { assertGone, eventually } from './harness/expectations.js'
import { markOf, markOfProcess, startCommand, startMarked } from './harness/marked.js'
import type { Orphan } from './harness/orphan.js'
import { argumentsOf, childrenOf, environmentOf, lives, statOf } from './harness/proc.js'
import { goneMs } from './harness/server.js'
import { run, type Swept, sweep, sweepCommandLine } from './harness/sweeper.js'
import { Worker, type WorkerSetup } from './harness/worker.js'

const { isReleased, recordRelease } = (await compiled(
  'containment/release-registry'
)) as typeof ReleaseRegistryModule

const nobody = 65_534
const asNobody = ['setpriv', `--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups']
const isRoot = process.getuid?.() === 0

/** Why no worker can run as another user here; false where one can. */
function whyNoOtherUser(): string | false {
  if (!isRoot) return 'only root can start processes of another user'
  const [node, entry] = sweepCommandLine as [string, string]
  const user = { uid: nobody, gid: nobody }
  if (spawnSync(node, ['--check', entry], user).status !== 0)
    return 'other users cannot run Node and the tests'
  return spawnSync('setpriv', ['--version']).status === 0 ? false : 'setpriv(1) of util-linux is missing'
}

const noOtherUser = whyNoOtherUser()

// Each program runs in its own request.
const programs = ['waits.sh', 'daemon.sh', 'child-empty-environment.sh', 'tree-ignores-term.sh']
const processCount = 1 + 2 + 2 + 4
const ignoringCount = 4

for (const launch of ['keeper', 'direct'] as const) {
  suite(`a worker that is killed with its keeper, by ${launch} launch`, () => {
    test('leaves everything; a dry run lists it, and a sweep ends it', async (t) => {
      const worker = await startBusy(t, { launch })
      await worker.loseBoth()
      assert.equal(await worker.witness.goneWithin(goneMs), false)
      assert.equal(worker.witness.living().length, processCount, 'the negative control: nothing ends them')

      const dryRun = await sweep({ dryRun: true })
      assert.deepEqual(pidsOf(dryRun.processes), announcedPids(worker))
      assert.equal(worker.witness.living().length, processCount)
      assert.equal(dryRun.status, 0)

      const { status, processes } = await sweep()
      assert.deepEqual(worker.witness.living(), [])
      assert.deepEqual(pidsOf(processes), announcedPids(worker))
      const killed = processes.filter(({ ended }) => ended === 'SIGKILL')
      assert.equal(killed.length, ignoringCount)
      assert.ok(processes.every(({ worker: of }) => of === worker.pid))
      assert.equal(status, 0)
      assert.deepEqual(await sweep(), { status: 0, processes: [] })
    })

    test('leaves nothing once the next worker has started, which logs that', async (t) => {
      const worker = await startBusy(t, { launch })
      await worker.loseBoth()
      const living = await startBusy(t, { launch })
      await eventually('its log reports it', () => living.errors.includes('leftovers of dead workers'))
      assert.match(living.errors, new RegExp(`ended ${processCount} processes, 0 survived`))
      await assertGone(worker)
      assert.equal(living.witness.living().length, processCount)
    })

    test('leaves directories, which a sweep removes, and no others', async (t) => {
      const [worker, other] = [await Worker.start({ launch }), await Worker.start({ launch })]
      for (const one of [worker, other]) {
        t.after(() => one.close())
        await one.withScope('temp-dir')
        await one.witness.present(1)
        assert.equal(one.temporaryFiles().length, 2)
      }
      await worker.loseBoth()
      assert.equal(worker.temporaryFiles().length, 2)
      for (const one of [worker, other]) await sweep({ env: { TMPDIR: one.temporaryFolder } })
      assert.deepEqual(worker.temporaryFiles(), [])
      assert.equal(other.temporaryFiles().length, 2)
    })
  })
}

suite('a sweep ends nothing', () => {
  test('of a living worker, with or without its keeper', async (t) => {
    const [lost, kept, keeperless] = await Promise.all([startBusy(t), startBusy(t), startBusy(t)])
    await keeperless.loseKeeper()
    await lost.loseBoth()
    const { processes } = await sweep()
    assert.deepEqual(pidsOf(processes), announcedPids(lost))
    for (const { witness } of [kept, keeperless]) assert.equal(witness.living().length, processCount)
  })

  test('of a dead worker whose keeper is about to end it', async (t) => {
    const worker = await startBusy(t)
    // The grace period lasts until the test continues the keeper.
    process.kill(worker.keeper as number, 'SIGSTOP')
    worker.kill('SIGKILL')
    await worker.dead()
    assert.deepEqual(await sweep(), { status: 0, processes: [] })
    assert.equal(worker.witness.living().length, processCount)
    process.kill(worker.keeper as number, 'SIGCONT')
    await worker.keeperDead()
    const [line] = await worker.keeperLines()
    assert.equal(line?.processes.length, processCount)
  })

  for (const keeperLives of [true, false]) {
    const state = keeperLives ? 'with its keeper' : 'without its keeper'
    test(`of a living worker that a dead one had started, ${state}`, async (t) => {
      const mark = markOf()
      const heir = await startBusy(t, { env: { SUBPROCESS_GUARD_MARK: mark } })
      const other = await startMarked(t, mark)
      if (!keeperLives) await heir.loseKeeper()
      const { processes } = await sweep()
      assert.deepEqual(pidsOf(processes), [other.pid])
      assert.equal(heir.witness.living().length, processCount)
      assert.ok(lives(heir.pid))
    })
  }

  test('of a tree in which a worker lives', async (t) => {
    const mark = markOf()
    const shell = await startCommand(t, mark, ['sh', '-c', 'sleep 1000 & read go; kill $!'])
    const worker = await childOf(shell.pid)
    await startMarked(t, markOfProcess(worker))
    const other = await startMarked(t, mark)
    assert.deepEqual(pidsOf((await sweep()).processes), [other.pid])
    assert.ok(lives(shell.pid))
    shell.stdin.end('go\n')
    await shell.gone()
  })

  test('of the process tree that the sweep itself runs in', async (t) => {
    // As for a server that a now dead server has started through a shell.
    const script = 'sleep 1000 & "$@"; echo status $?; kill $!'
    const mark = markOf()
    const other = await startMarked(t, mark)
    const shell = await startCommand(t, mark, ['sh', '-c', script, 'sh', ...sweepCommandLine])
    const output = await text(shell.stdout)
    const [, json, status] = /^(.*)status (\d+)\n$/s.exec(output) ?? []
    assert.deepEqual(pidsOf(JSON.parse(json as string)), [other.pid])
    assert.equal(status, '0')
  })

  test('that was released, and it forgets the release when the last process with that mark has ended', async (t) => {
    const released = markOf({ scope: 1 })
    const unreleased = markOf({ scope: 11 })
    const [spared, left] = [await startMarked(t, released), await startMarked(t, unreleased)]
    recordRelease(released)
    assert.deepEqual(pidsOf((await sweep()).processes), [left.pid])
    assert.ok(lives(spared.pid))
    assert.ok(isReleased(released))
    spared.kill()
    await spared.gone()
    await sweep()
    assert.ok(!isReleased(released))
  })

  test('that a worker has released, even when the sweep is that of the next worker', async (t) => {
    const worker = await Worker.start()
    t.after(() => worker.close())
    await worker.withScope('release')
    worker.run('waits.sh')
    await worker.witness.present(2 + 1)
    await worker.loseBoth()
    const next = await Worker.start()
    t.after(() => next.close())
    await eventually('the next one has swept', () => next.errors.includes('leftovers of dead workers'))
    const names = worker.witness.living().map(({ name }) => name)
    assert.equal(names.length, 2)
    assert.ok(!names.includes('waits'))
  })

  // Each mark makes this process a living worker, which spares all that it has started: so each needs its own
  // sweep.
  for (const [what, mark] of [
    ['this process', markOfProcess(process.pid)],
    ['a worker whose start could not be read', markOf({ pid: process.pid, startTick: '0' })]
  ] as const) {
    test(`whose mark names ${what}`, async (t) => {
      const marked = await startMarked(t, mark)
      assert.deepEqual(await sweep(), { status: 0, processes: [] })
      assert.ok(lives(marked.pid))
    })
  }

  test('of another user', { skip: noOtherUser }, async (t) => {
    const worker = await startBusy(t, { user: nobody })
    await worker.loseBoth()
    const own = await startMarked(t, markOf())
    assert.deepEqual(pidsOf((await sweep()).processes), [own.pid])
    assert.equal(worker.witness.living().length, processCount)

    const more = await startMarked(t, markOf())
    const { processes } = await sweep({ wrapper: asNobody })
    assert.deepEqual(pidsOf(processes), announcedPids(worker))
    assert.ok(lives(more.pid))
  })

  test('of a worker that is hidden by hidepid', { skip: noOtherUser }, async (t) => {
    const mount = 'mount -t proc -o hidepid=2 proc /proc && exec "$@"'
    const hiding = ['unshare', '--mount', 'sh', '-c', mount, 'sh', ...asNobody]
    // This process runs as root, so the sweep can only check whether its pid exists.
    const { stdout } = await run([...hiding, 'ls', '/proc'])
    assert.ok(!stdout.split('\n').includes(String(process.pid)))
    const [hidden, left] = [
      await startMarked(t, markOfProcess(process.pid), nobody),
      await startMarked(t, markOf(), nobody)
    ]
    const { processes } = await sweep({ wrapper: hiding })
    assert.deepEqual(pidsOf(processes), [left.pid])
    assert.ok(lives(hidden.pid))
  })

  test('of another PID namespace', async (t) => {
    const user = isRoot ? [] : ['--user', '--map-root-user']
    const flags = ['--pid', '--fork', '--kill-child', '--mount-proc', ...user]
    const { status, stderr } = spawnSync('unshare', [...flags, 'true'], { encoding: 'utf8' })
    if (status !== 0) return t.skip(`no other PID namespace is available: ${stderr}`)
    // The shell is process 1 there.
    const script = `
      namespace=$(readlink /proc/self/ns/pid | tr -dc 0-9)
      SUBPROCESS_GUARD_MARK=\${MARK%%.*}.$namespace.\${MARK#*.*.} sleep 1000 &
      read go; "$@"; wait`
    const inside = spawn('unshare', [...flags, 'sh', '-c', script, 'sh', ...sweepCommandLine], {
      env: { ...process.env, MARK: markOf() },
      stdio: ['pipe', 'pipe', 'inherit']
    })
    t.after(() => inside.kill('SIGKILL'))
    const output = text(inside.stdout)
    const init = await childOf(inside.pid as number)
    const markedChildren = (): number[] => childrenOf(init).filter((pid) => hasMark(pid))
    await eventually('a process carries a mark', () => markedChildren().length === 1)

    assert.deepEqual(await sweep(), { status: 0, processes: [] })
    assert.equal(markedChildren().length, 1)
    inside.stdin.end('go\n')
    assert.equal(JSON.parse(await output)[0]?.ended, 'SIGTERM', 'a sweep in that namespace ends the process')
  })
})

suite('a single sweep ends nothing', () => {
  const foreignMarks: [string, string][] = [
    ['another boot', markOf({ boot: '00000000-0000-4000-8000-000000000000' })],
    ['another PID namespace', markOf({ namespace: '1' })],
    ['another realm', markOf({ realm: 'another' })],
    ['an impossible pid', markOf({ pid: 99_999_999_999 })],
    ['pid 0', markOf({ pid: 0 })],
    ['a worker and no scope', markOf().split('/')[0] as string],
    ['a scope of another kind', `${markOf()}/stray`],
    ['nothing', ''],
    ['garbage', '../../%s\n/1'],
    ['a slash', '/']
  ]
  const marked = new Map<string, Orphan>()
  let swept: Swept
  let left: Orphan
  const ends: (() => void)[] = []
  after(() => {
    for (const end of ends) end()
  })
  before(async () => {
    // The processes end with the suite.
    const t = { after: (end: () => void) => void ends.push(end) } as TestContext
    for (const [what, mark] of foreignMarks) marked.set(what, await startMarked(t, mark))
    left = await startMarked(t, markOf())
    swept = await sweep()
  })
  test('but what carries the mark of a dead worker', () => {
    assert.deepEqual(pidsOf(swept.processes), [left.pid])
    assert.equal(swept.status, 0)
  })
  for (const [what] of foreignMarks) {
    test(`whose mark names ${what}`, () => assert.ok(lives(marked.get(what)?.pid)))
  }
})

suite('a realm', () => {
  // Begins with the realm of this test, so that the test runner ends its processes too when it is
  // interrupted.
  const otherRealm = `${process.env.SUBPROCESS_GUARD_REALM ?? ''}other`
  test('separates workers: their processes are ended only by a sweep in the same realm', async (t) => {
    const worker = await startBusy(t, { env: { SUBPROCESS_GUARD_REALM: otherRealm } })
    await worker.loseBoth()
    assert.deepEqual(await sweep(), { status: 0, processes: [] })
    assert.equal(worker.witness.living().length, processCount)
    const { processes } = await sweep({ env: { SUBPROCESS_GUARD_REALM: otherRealm } })
    assert.deepEqual(pidsOf(processes), announcedPids(worker))
  })

  test('that cannot be part of a mark is refused', async () => {
    const message = /SUBPROCESS_GUARD_REALM is "Not\/one": set it to at most 64 lower-case letters/
    const env = { SUBPROCESS_GUARD_REALM: 'Not/one' }
    await assert.rejects(Worker.start({ env }), message)
    await assert.rejects(sweep({ env }), message)
  })
})

suite('a sweep', () => {
  test('ends what was left by a worker that is a zombie', async (t) => {
    // The parent never waits for the worker: it executes sleep, since a shell might wait.
    const parent = spawn('sh', ['-c', 'sleep 1000 & exec sleep 1000'], { stdio: 'ignore' })
    t.after(() => parent.kill('SIGKILL'))
    const worker = await childOf(parent.pid as number)
    const left = await startMarked(t, markOfProcess(worker))
    await eventually('the parent has executed sleep', () => argumentsOf(parent.pid as number)[0] === 'sleep')
    assert.deepEqual((await sweep()).processes, [])
    process.kill(worker, 'SIGKILL')
    await eventually('the worker is a zombie', () => statOf(worker)?.state === 'Z')
    assert.deepEqual(pidsOf((await sweep()).processes), [left.pid])
  })

  test('ends what was left by a worker whose pid has been reused', async (t) => {
    const left = await startMarked(t, markOf({ pid: process.pid, startTick: '1' }))
    assert.deepEqual(pidsOf((await sweep()).processes), [left.pid])
  })

  test('waits for a running sweep, so that no process gets SIGTERM twice', async (t) => {
    const left = await Promise.all([startMarked(t, markOf()), startStubborn(t), startStubborn(t)])
    const both = await Promise.all([sweep(), sweep()])
    const processes = both.flatMap(({ processes }) => processes)
    assert.deepEqual(pidsOf(processes), pidsOf(left as { pid: number }[]))
    assert.ok(!left.some(({ pid }) => lives(pid)))
  })

  test('works without koffi and reports survivors', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'sweep-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const root = fileURLToPath(new URL('../../', import.meta.url))
    cpSync(join(root, 'dist'), join(folder, 'dist'), { recursive: true })
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
    // The only package that Node can resolve from this directory.
    mkdirSync(join(folder, 'node_modules'))
    symlinkSync(join(root, 'node_modules/commander'), join(folder, 'node_modules/commander'))
    const env = { SWEEP_DIST: `${pathToFileURL(join(folder, 'dist'))}/` }
    const left = await startMarked(t, markOf())
    const refusing = join(folder, 'refuses-signals.cjs')
    writeFileSync(
      refusing,
      `const { kill } = process
       process.kill = (pid, signal) => {
         if (signal === 0) return kill.call(process, pid, signal)
         throw Object.assign(new Error('refused'), { code: 'EPERM' })
       }`
    )
    const { status, processes } = await sweep({ env, nodeFlags: ['--require', refusing] })
    assert.equal(status, 1)
    assert.deepEqual(pidsOf(processes), [left.pid])
    assert.equal(processes[0]?.ended, 'survived')
    assert.equal(processes[0]?.why, 'SIGKILL was refused: EPERM')
    assert.ok(lives(left.pid))

    const second = await sweep({ env })
    assert.equal(second.status, 0)
    assert.equal(second.processes[0]?.ended, 'SIGTERM')
  })

  test('prints what it did in readable text', async (t) => {
    const [node, entry] = sweepCommandLine as [string, string]
    assert.equal((await run([node, entry])).stdout, 'nothing to sweep\n')
    const { pid } = await startMarked(t, markOf())
    const facts = String.raw`${pid} {2}of worker 5000000, \d+ s old, \d+ MB {2}sleep 1000\n$`
    assert.match((await run([node, entry, '--dry-run'])).stdout, new RegExp(`^would end {2}${facts}`))
    assert.match((await run([node, entry])).stdout, new RegExp(`^ended by SIGTERM {2}${facts}`))
  })

  test('replaces characters in names that could control a terminal or fake another line', async (t) => {
    const [node, entry] = sweepCommandLine as [string, string]
    const name = '\x1b[2J\r\nended by SIGTERM  1\u202e'
    const child = await startCommand(t, markOf(), ['sh', '-c', 'echo ready; read line', name])
    await once(child.stdout, 'data')
    for (const flags of [['--dry-run'], []]) {
      const { stdout } = await run([node, entry, ...flags])
      assert.ok(stdout.endsWith(' ?[2J??ended by SIGTERM  1?\n'), JSON.stringify(stdout))
      assert.equal(stdout.split('\n').length, 2)
    }
  })
})

/** Starts a worker with one running request for each of the programs. */
async function startBusy(t: TestContext, setup: WorkerSetup = {}): Promise<Worker> {
  const worker = await Worker.start(setup)
  t.after(() => worker.close())
  for (const program of programs) worker.run(program)
  await worker.witness.present(processCount)
  return worker
}

/** Starts a process with the mark of a dead worker that only SIGKILL ends. */
async function startStubborn(t: TestContext): Promise<Orphan> {
  const child = await startCommand(t, markOf(), ['sh', '-c', 'trap "" TERM; echo ready; exec sleep 1000'])
  await once(child.stdout, 'data')
  return child
}

function announcedPids({ witness }: Worker): number[] {
  return pidsOf(witness.announced)
}

function pidsOf(processes: readonly { pid: number }[]): number[] {
  return processes.map(({ pid }) => pid).sort((a, b) => a - b)
}

async function childOf(pid: number): Promise<number> {
  await eventually(`process ${pid} has a child`, () => childrenOf(pid).length === 1)
  return childrenOf(pid)[0] as number
}

function hasMark(pid: number): boolean {
  return environmentOf(pid).some((entry) => entry.startsWith('SUBPROCESS_GUARD_MARK='))
}
