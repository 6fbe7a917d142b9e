/**
 * `subprocess-guard ps` shows what guarded workers run, also when their keepers cannot be asked. It asks every keeper on
 * the machine, and a keeper that is asked looks at its processes. Some tests need a daemon that no keeper has seen yet: they run before.
 */

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { ShownWorker } from '../../lib/cli/list-workers.js'
import type * as FolderNames from '../../lib/wire/folder-names.js'
import type * as Mark from '../../lib/wire/mark.js'
import { cli, inNamespaces, runCli, startCli, whyNoNamespaces } from '../harness/cli.js'
import { ask } from '../harness/client.js'
import { compiled } from '../harness/compiled.js'
import { eventually } from '../harness/expectations.js'
import { patienceMs } from '../harness/patience.js'
import { argumentsOf, statOf } from '../harness/proc.js'
import { type Served, serve } from '../harness/server.js'
import { startService } from '../harness/service.js'
import { StandInKeeper } from '../harness/stand-in-keeper.js'
import { installWithoutKoffi } from '../harness/without-koffi.js'
import { Witness } from '../harness/witness.js'
import { Worker, whyNoTerminal } from '../harness/worker.js'

const { folderTagOf } = (await compiled('wire/folder-names')) as typeof FolderNames
const { workerMarkOf } = (await compiled('wire/mark')) as typeof Mark
const workerEntry = fileURLToPath(new URL('../harness/worker-main.js', import.meta.url))
// Shown as an hour and some minutes, however long the command takes to look.
const timeout = 5_400_000
// No file of passwords has that user, and nobody's server runs as that.
const stranger = 64_321

/** What is said of all workers of this machine. */
async function allShown(entry = cli): Promise<ShownWorker[]> {
  const { status, stdout, stderr } = await runCli(['ps', '--json'], { entry })
  assert.deepEqual([status, stderr], [0, ''])
  return JSON.parse(stdout)
}

/** What is said of one of them. */
async function shown(worker = process.pid, entry = cli): Promise<ShownWorker | undefined> {
  return (await allShown(entry)).find((one) => one.worker === worker)
}

/** The lines that people see of a worker. */
async function linesOn(worker = process.pid): Promise<string[]> {
  const { status, stdout, stderr } = await runCli(['ps'])
  assert.deepEqual([status, stderr], [0, ''])
  const block = stdout.split('\n\n').find((one) => new RegExp(`^(left by )?worker ${worker}\\b`).test(one))
  return block?.trimEnd().split('\n') ?? []
}

function pidsOf(worker: Pick<ShownWorker, 'scopes'> | undefined): Set<number> {
  return new Set(worker?.scopes.flatMap(({ processes }) => processes.map(({ pid }) => pid)))
}

function announcedBy({ witness }: { witness: Witness }): Set<number> {
  return new Set(witness.announced.map(({ pid }) => pid))
}

/** A server with two requests under way, of four processes and of two. */
async function serveBusy(plugin?: Parameters<typeof serve>[0]['plugin']): Promise<Served> {
  const served = await serve(plugin === undefined ? {} : { plugin }, (_app, served) => {
    for (const [path, program] of [
      ['/deep/:id', 'tree-ignores-term.sh'],
      ['/daemon', 'daemon.sh']
    ] as const) {
      served.get(
        path,
        async (request) => {
          served.run(request, program)
          await new Promise(() => {})
        },
        { timeout: path === '/daemon' ? false : timeout }
      )
    }
  })
  ask(served.port, '/deep/7')
  await served.witness.present(4)
  ask(served.port, '/daemon')
  await served.witness.present(6)
  return served
}

/** Asserts that the worker is shown with its processes though its keeper tells nothing, and why there is no more. */
async function assertFoundByMarks(
  served: Served | Worker,
  worker: number,
  note: RegExp
): Promise<ShownWorker | undefined> {
  const state = await shown(worker)
  assert.equal(state?.state, 'running')
  assert.match(state?.note ?? '', note)
  assert.match(state?.note ?? '', /routes and deadlines are not known/)
  assert.deepEqual(pidsOf(state), announcedBy(served))
  assert.deepEqual(new Set(state?.scopes.map(({ state }) => state)), new Set(['unknown']))
  const lines = await linesOn(worker)
  assert.match(lines[1] ?? '', /^ {2}note: its keeper is stopped|^ {2}note: it has no keeper/)
  return state
}

suite('a worker and its keeper', () => {
  let served: Served
  let busyForMs: number
  let lines: string[]
  let worker: ShownWorker | undefined
  let rss: number
  before(async () => {
    const startedAt = performance.now()
    served = await serveBusy()
    lines = await linesOn()
    worker = await shown()
    rss = process.memoryUsage().rss
    busyForMs = performance.now() - startedAt
  })
  after(() => served.close())

  test('are shown with every process of every open scope', () => {
    const { keeper, containment } = served.guard
    const own = lines.join('\n')
    assert.match(
      lines[0] as string,
      new RegExp(`^worker ${process.pid}  \\d+ MB  keeper ${keeper}  ${containment}  \\S+`)
    )
    assert.match(own, /\n +PID +AGE +CPU +MEMORY {2}COMMAND\n/)
    assert.equal(lines.filter((line) => /^ {2}scope \d+ {2}open \d+\.\d s {2}deadline /.test(line)).length, 2)
    for (const { pid } of served.witness.announced) {
      const row = lines.find((line) => line.trim().startsWith(`${pid} `))
      assert.match(row ?? '', /^ +\d+ +\d+\.\d s +\d+\.\d s +\d+ [kM]B {2}.*\S/)
    }
    // The grandchild hangs from the middle, and that from the leader, as does the child.
    for (const [name, lead] of [
      ['child', '|- '],
      ['middle', '`- '],
      ['grandchild', '   `- ']
    ]) {
      const { pid } = served.witness.announced.find((one) => one.name === name) ?? {}
      const row = lines.find((line) => line.trim().startsWith(`${pid} `))
      // Behind the four columns of numbers, which are so wide.
      assert.match(row?.slice(42) ?? '', new RegExp(`^${lead?.replace('|', '\\|')}(sh|sleep) `))
    }
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that there is none, is the law.
    assert.match(own, /^[\x00-\x7f]*$/)
  })

  test('are an object of --json', () => {
    assert.deepEqual(Object.keys(worker ?? {}), [
      ...['worker', 'state', 'command', 'memoryBytes', 'keeper', 'containment', 'note', 'scopes', 'unscoped']
    ])
    const { keeper, containment } = served.guard
    assert.deepEqual(
      { ...worker, scopes: [], memoryBytes: 0, command: '' },
      {
        ...{ worker: process.pid, state: 'running', command: '', memoryBytes: 0, keeper, containment },
        ...{ note: null, scopes: [], unscoped: [] }
      }
    )
    assert.ok(Math.abs((worker?.memoryBytes ?? 0) / rss - 1) < 0.3, `${worker?.memoryBytes} and ${rss}`)
    assert.equal(worker?.scopes.length, 2)
    for (const scope of worker?.scopes ?? []) {
      assert.deepEqual(Object.keys(scope), ['scope', 'state', 'route', 'openMs', 'deadlineInMs', 'processes'])
      assert.equal(scope.state, 'open')
      assert.ok((scope.openMs ?? -1) >= 0 && (scope.openMs ?? 0) <= busyForMs)
      for (const process of scope.processes) {
        assert.deepEqual(Object.keys(process), ['pid', 'parent', 'command', 'ageMs', 'memoryBytes', 'cpuMs'])
        assert.equal(process.parent, statOf(process.pid)?.parent)
        // The kernel tells its start in hundredths of a second.
        assert.ok(process.ageMs >= 0 && process.ageMs <= busyForMs + 20, `${process.ageMs} of ${busyForMs}`)
        assert.ok(process.memoryBytes > 100_000)
      }
    }
    assert.deepEqual(pidsOf(worker), announcedBy(served))
  })

  test('have their requests named, with how long they may go on', () => {
    const own = lines.join('\n')
    assert.match(own, /^ {2}scope \d+ {2}open \d+\.\d s {2}deadline in 1 h 2\d min {2}GET \/deep\/:id$/m)
    assert.match(own, /^ {2}scope \d+ {2}open \d+\.\d s {2}deadline none {2}GET \/daemon$/m)
    assert.deepEqual(
      worker?.scopes.map(({ route }) => route),
      ['GET /deep/:id', 'GET /daemon']
    )
    const [deep, daemon] = worker?.scopes.map(({ deadlineInMs }) => deadlineInMs) ?? []
    assert.ok(deep && deep <= timeout && deep >= timeout - busyForMs, `${deep}`)
    assert.equal(daemon, null)
  })

  test('are shown to a user who may see them, and to nobody else', {
    skip: whyNoOtherUser() ?? false
  }, async () => {
    assert.ok(served.guard.keeper > 0)
    const { status, stdout, stderr } = await runCli(['ps'], { user: stranger })
    assert.equal(stdout, `no guarded worker runs here (as far as user ${stranger} can see)\n`)
    assert.deepEqual([status, stderr], [0, ''])
  })

  test('are not shown in a PID namespace that has none, and that is said', {
    skip: whyNoNamespaces() ?? false
  }, async () => {
    assert.ok(served.guard.keeper > 0)
    const { status, stdout, stderr } = await runCli(['ps'], { via: inNamespaces })
    assert.equal(stdout, 'no guarded worker runs here (as far as user root can see)\n')
    assert.deepEqual([status, stderr], [0, ''])
    assert.equal((await runCli(['ps', '--json'], { via: inNamespaces })).stdout, '[]\n')
  })

  test('fit a terminal, and are drawn anew there', { skip: whyNoTerminal() ?? false }, async (t) => {
    const command = `stty cols 50 rows 9; exec "${process.execPath}" "${cli}" ps --watch 0.1`
    const env = { ...process.env, SHELL: '/bin/sh', LC_ALL: 'C.UTF-8' }
    const terminal = spawn('script', ['-qfc', command, '/dev/null'], { env })
    t.after(() => terminal.kill('SIGKILL'))
    let output = ''
    terminal.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
    await eventually('it was shown three times', () => output.split('\x1b[H\x1b[J').length > 3)
    terminal.stdin.write('\x03')
    assert.deepEqual(await once(terminal, 'exit'), [0, null])
    const [, second = ''] = output.split('\x1b[H\x1b[J').slice(1)
    const rows = second.split('\r\n')
    // The cursor is in the last row.
    assert.ok(rows.length <= 9, second)
    assert.match(second, /\(\d+ more lines\)/)
    for (const row of rows) assert.ok(row.length <= 50, row)
    const first = rows.find((row) => row.startsWith('worker '))
    assert.ok(first?.length === 50 && first.endsWith('…'), first)
    assert.ok(served.guard.keeper > 0)
  })

  test('are shown by marks, and why, while the keeper is stopped, and again as before when it goes on', async () => {
    const { keeper } = served.guard
    process.kill(keeper, 'SIGSTOP')
    try {
      await eventually('the keeper is stopped', () => statOf(keeper)?.state === 'T')
      const state = await assertFoundByMarks(served, process.pid, /^its keeper is stopped: /)
      assert.equal(state?.keeper, keeper)
    } finally {
      // Its end waits for it.
      process.kill(keeper, 'SIGCONT')
    }
    await eventually('the keeper runs', () => statOf(keeper)?.state !== 'T')
    assert.equal((await shown())?.note, null)
  })

  test('are shown when nothing is open, and no longer when the guard is closed', async () => {
    served.app.server.closeAllConnections()
    await eventually('the requests are over', () => served.guard.scopes().length === 0)
    const idle = await linesOn()
    assert.match(idle[0] ?? '', new RegExp(`^worker ${process.pid}  .*keeper ${served.guard.keeper}  `))
    assert.deepEqual(idle.slice(1), ['  no open scope'])
    await served.close()
    assert.deepEqual(await linesOn(), [])
  })
})

suite('a worker', () => {
  test('is shown without koffi, and by a command without it', async (t) => {
    const { plugin, cli, remove } = await installWithoutKoffi()
    t.after(remove)
    const served = await serveBusy(plugin)
    t.after(() => served.close())
    const worker = await shown(process.pid, cli)
    assert.equal(worker?.containment, 'marks')
    assert.deepEqual(pidsOf(worker), announcedBy(served))
  })
})

suite('a keeper that cannot be asked', () => {
  test('is no longer there: its worker is shown, and then what that leaves', async (t) => {
    const worker = await Worker.start()
    t.after(() => worker.close())
    worker.run('daemon.sh')
    worker.run('background-child.sh')
    await worker.witness.present(4)
    // So that it gives itself no other one.
    await worker.loseKeeper()
    await assertFoundByMarks(worker, worker.pid, /^it has no keeper that can be seen: /)

    worker.kill('SIGKILL')
    await worker.dead()
    const state = await shown(worker.pid)
    assert.deepEqual([state?.state, state?.command, state?.keeper, state?.note], ['gone', null, null, null])
    assert.deepEqual(pidsOf(state), announcedBy(worker))
    const [first] = await linesOn(worker.pid)
    assert.match(
      first ?? '',
      new RegExp(`^left by worker ${worker.pid} \\(gone\\): .*subprocess-guard sweep`)
    )
  })

  test('leaves its worker with what carries its marks, but for what a service has started', async (t) => {
    const worker = await Worker.start({ env: await startService(t) })
    t.after(() => worker.close())
    worker.startWithScope('ask-service')
    await worker.witness.present(3)
    await worker.loseKeeper()
    const own = worker.witness.announced.filter(({ name }) => name !== 'served').map(({ pid }) => pid)
    assert.deepEqual(pidsOf(await shown(worker.pid)), new Set(own))
    worker.kill('SIGKILL')
    await worker.dead()
    assert.deepEqual(pidsOf(await shown(worker.pid)), new Set(own))
  })

  const noSense = /^its keeper gives no answer that is understood: /
  const cases = [
    { how: 'says nothing', answer: undefined, note: /^its keeper has not answered within 1000 ms: / },
    { how: 'talks nonsense', answer: 'HTTP/1.1 400 Bad Request\r\n\r\n', note: noSense },
    { how: 'hangs up', answer: '', note: noSense },
    { how: 'has no scopes', answer: { worker: 1, keeper: 2, containment: 'marks' }, note: noSense }
  ]

  test('is named with the reason, each of many', async (t) => {
    const keepers = await Promise.all(cases.map(({ answer }) => StandInKeeper.start(answer)))
    t.after(() => Promise.all(keepers.map((keeper) => keeper.close())))
    const workers = await allShown()
    for (const [i, { how, note }] of cases.entries()) {
      const keeper = keepers[i] as StandInKeeper
      const state = workers.find(({ worker }) => worker === keeper.worker)
      assert.equal(state?.keeper, keeper.pid, `one that ${how}`)
      assert.match(state?.note ?? '', note, `one that ${how}`)
    }
  })
})

suite('what a keeper tells', () => {
  const facts = { worker: 1, keeper: 1, containment: 'subreaper' }
  const scope = { scope: 3, state: 'open', openMs: 12_400, processes: [] as object[] }

  test('is shown line by line', async (t) => {
    const told = [
      [{ ...scope, route: 'GET /', deadlineInMs: 3_290 }, '  scope 3  open 12.4 s  deadline in 3.2 s  GET /'],
      [{ ...scope, route: 'GET /', deadlineInMs: -1 }, '  scope 3  open 12.4 s  deadline passed  GET /'],
      [scope, '  scope 3  open 12.4 s  deadline none  no route'],
      [
        { ...scope, state: 'closing', openMs: 250_000 },
        '  scope 3  closing  open 4 min 10 s  deadline none  no route'
      ],
      [{ ...scope, openMs: 90_000_000 }, '  scope 3  open 1 d 1 h  deadline none  no route'],
      [{ ...scope, scope: 0, openMs: 7_500_000 }, '  in no request  open 2 h 5 min  deadline none  no route'],
      // A terminal would take it for an order.
      [{ ...scope, route: 'GET /\x1b[2J\r\n' }, '  scope 3  open 12.4 s  deadline none  GET /?[2J??'],
      // It is not believed of a process that is not there.
      [
        { ...scope, processes: [{ pid: spawnSync('true').pid }] },
        '  scope 3  open 12.4 s  deadline none  no route'
      ]
    ] as const
    const keeper = await StandInKeeper.start({ ...facts, scopes: told.map(([scope]) => scope) })
    t.after(() => keeper.close())
    const lines = await linesOn(keeper.worker)
    assert.deepEqual(
      lines.slice(1),
      told.flatMap(([, line]) => [line, '         no process'])
    )
  })
})

suite('a keeper whose socket is hard to reach', () => {
  test('is asked by a path that fills all that a socket has room for, also for what was released', async (t) => {
    const base = mkdtempSync(join(tmpdir(), 'long-'))
    t.after(() => rmSync(base, { recursive: true, force: true }))
    // What follows; the worker's number may have a digit more than ours.
    const follows = `/subprocess-guard-${folderTagOf(workerMarkOf(process.pid))}_XXXXXX/stdio`.length + 1
    const folder = join(base, 'x'.repeat(107 - follows - base.length - 1))
    mkdirSync(folder)
    const worker = await Worker.start({ env: { TMPDIR: folder } })
    t.after(() => worker.close())
    assert.match(readdirSync(folder).join(), /^subprocess-guard-\w+$/)
    worker.run('daemon.sh')
    await worker.witness.present(2)
    const kept = announcedBy(worker)
    await worker.withScope('release')
    await worker.witness.present(4)
    const released = new Set([...announcedBy(worker)].filter((pid) => !kept.has(pid)))
    const state = await shown(worker.pid)
    assert.equal(state?.note, null)
    assert.deepEqual(pidsOf(state), kept)
    // Apart from what its requests run.
    assert.deepEqual(new Set(state?.unscoped.map(({ pid }) => pid)), released)
    assert.match((await linesOn(worker.pid)).join('\n'), /^ {2}in no open scope: .*released/m)
  })

  test('is asked across mounts and PID namespaces, and its processes have our numbers', {
    skip: whyNoNamespaces() ?? false
  }, async (t) => {
    const witness = new Witness()
    t.after(() => {
      // What announced itself has another number here: this one may be anybody's.
      witness.announced.length = 0
      witness.close()
    })
    const folder = mkdtempSync(join(tmpdir(), 'private-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    const program = `mount -t tmpfs none "$TMPDIR" && ${process.execPath} ${workerEntry} keeper; exit $?`
    const [file, ...args] = [...inNamespaces, 'sh', '-c', program]
    const outer = spawn(file as string, args, { env: { ...witness.env, TMPDIR: folder }, stdio: 'ignore' })
    const ended = once(outer, 'exit')
    t.after(async () => {
      outer.kill('SIGKILL')
      await ended
    })
    await eventually('the worker serves', () => witness.said.length > 0)
    const { pid: innerPid, port } = JSON.parse(witness.said[0]?.slice('worker '.length) as string)
    ask(port, '/run?program=daemon.sh&times=1')
    await witness.present(2)

    const { stdout } = await runCli(['ps', '--json'])
    const worker = (JSON.parse(stdout) as ShownWorker[]).find(({ worker }) => innermost(worker) === innerPid)
    assert.ok(worker !== undefined && worker.worker !== innerPid, stdout)
    assert.equal(worker.note, null)
    assert.match(worker.command ?? '', /worker-main\.js keeper/)
    assert.equal(parentOf(worker.keeper as number), worker.worker)
    const processes = worker.scopes.flatMap(({ processes }) => processes)
    assert.deepEqual(new Set(processes.map(({ pid }) => innermost(pid))), announcedBy({ witness }))
    for (const { pid, command } of processes) {
      assert.equal(argumentsOf(pid).join(' '), command)
    }
  })
})

suite('the output', () => {
  test('may be cut short by who reads it', async () => {
    const command = `{ "${process.execPath}" "${cli}" ps --watch 0.1; echo "status $?" >&2; } | head -1`
    const { stdout, stderr } = spawnSync('sh', ['-c', command], { encoding: 'utf8', timeout: patienceMs })
    assert.match(stdout, /^.*, every 0.1 s\n$/)
    assert.equal(stderr, 'status 0\n')
  })

  for (const [how, flags, isOne] of [
    ['for people', [], (line: string) => line.endsWith('every 0.1 s')],
    ['for programs', ['--json'], (line: string) => Array.isArray(JSON.parse(line || 'null'))]
  ] as const) {
    test(`is made again and again until Ctrl-C, ${how}`, async () => {
      const child = startCli(['ps', '--watch', '0.1', ...flags])
      let output = ''
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        output += text
      })
      const looks = (): number => output.split('\n').slice(0, -1).filter(isOne).length
      await eventually('it was shown three times', () => looks() >= 3)
      child.kill('SIGINT')
      assert.deepEqual(await once(child, 'exit'), [0, null])
      assert.ok(!output.includes('\x1b'))
    })
  }

  test('is refused for an interval that is none', async () => {
    const { status, stderr } = await runCli(['ps', '--watch', 'often'])
    assert.equal(status, 1)
    assert.match(stderr, /^error: .*'often' is invalid.*give a number of seconds from 0\.1/)
  })
})

/** The number that a process has in its own PID namespace; undefined when it has ended, as any worker on the machine may. */
function innermost(pid: number): number | undefined {
  try {
    const [, numbers] = /^NSpid:\s+(.+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
    return Number(numbers?.split(/\s+/).at(-1))
  } catch {
    return undefined
  }
}

function parentOf(pid: number): number | undefined {
  return statOf(pid)?.parent
}

/** Why the command cannot be run here as somebody else; undefined where it can. */
function whyNoOtherUser(): string | undefined {
  if (process.getuid?.() !== 0) return 'only root can run a program as another user'
  const { status } = spawnSync(process.execPath, [cli, '--version'], { uid: stranger, gid: stranger })
  if (status !== 0) return 'other users cannot run this Node, or cannot read the package'
  return undefined
}
