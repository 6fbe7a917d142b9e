/**
 * `subprocess-guard ps` shows what guarded workers run, even if their keepers do not answer. It asks every
 * keeper on the machine, and a keeper that is asked scans its processes. This file runs alone, since tests
 * in other files need daemons that no keeper has scanned yet.
 */

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { ShownWorker } from '../../lib/cli/shown-worker.js'
import type * as FolderNames from '../../lib/wire/folder-names.js'
import type * as Mark from '../../lib/wire/mark.js'
import { cli, inNamespaces, runCli, startCli, whyNoNamespaces } from '../harness/cli.js'
import { ask } from '../harness/client.js'
import { compiled } from '../harness/compiled.js'
import { eventually } from '../harness/expectations.js'
import { levelWithoutKoffi } from '../harness/level.js'
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
// In ms. Shown as one hour and some minutes, however long the command takes.
const timeout = 5_400_000
// A user id that no account has, so that no server runs as this user.
const otherUser = 64_321

/** Resolves with what the command shows for all workers of this machine. */
async function allShown(entry = cli): Promise<ShownWorker[]> {
  const { status, stdout, stderr } = await runCli(['ps', '--json'], { entry })
  assert.deepEqual([status, stderr], [0, ''])
  return JSON.parse(stdout)
}

/** Resolves with what the command shows for one worker. */
async function shown(worker = process.pid, entry = cli): Promise<ShownWorker | undefined> {
  return (await allShown(entry)).find((one) => one.worker === worker)
}

/** Resolves with the lines of the text output about one worker. */
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

/** Starts a server with two requests in flight, of four processes and of two. */
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

/** Asserts that a worker is shown with its processes although its keeper does not answer, and with a note. */
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
    const text = lines.join('\n')
    assert.match(
      lines[0] as string,
      new RegExp(
        `^worker ${process.pid}  \\d+ MB  cpu [\\d.]+ \\w+.*?  keeper ${keeper}  ${containment}  \\S+`
      )
    )
    assert.match(text, /\n +PID +AGE +CPU +MEMORY {2}COMMAND\n/)
    assert.equal(lines.filter((line) => /^ {2}scope \d+ {2}open \d+\.\d s {2}deadline /.test(line)).length, 2)
    for (const { pid } of served.witness.announced) {
      const row = lines.find((line) => line.trim().startsWith(`${pid} `))
      assert.match(row ?? '', /^ +\d+ +\d+\.\d s +\d+\.\d s +\d+ [kM]B {2}.*\S/)
    }
    // The grandchild is a branch of the middle process. That and the child are branches of the leader.
    for (const [name, lead] of [
      ['child', '|- '],
      ['middle', '`- '],
      ['grandchild', '   `- ']
    ]) {
      const { pid } = served.witness.announced.find((one) => one.name === name) ?? {}
      const row = lines.find((line) => line.trim().startsWith(`${pid} `))
      // The four columns of numbers before it take 42 characters.
      assert.match(row?.slice(42) ?? '', new RegExp(`^${lead?.replace('|', '\\|')}(sh|sleep) `))
    }
    // biome-ignore lint/suspicious/noControlCharactersInRegex: tests that the output is ASCII.
    assert.match(text, /^[\x00-\x7f]*$/)
  })

  test('are an object in the output of --json', () => {
    assert.deepEqual(Object.keys(worker ?? {}), [
      ...[
        'worker',
        'state',
        'command',
        'memoryBytes',
        'cpuMs',
        'keeper',
        'containment',
        'note',
        'scopes',
        'unscoped'
      ]
    ])
    const { keeper, containment } = served.guard
    assert.deepEqual(
      { ...worker, scopes: [], memoryBytes: 0, cpuMs: 0, command: '' },
      {
        ...{
          worker: process.pid,
          state: 'running',
          command: '',
          memoryBytes: 0,
          cpuMs: 0,
          keeper,
          containment
        },
        ...{ note: null, scopes: [], unscoped: [] }
      }
    )
    assert.ok(Math.abs((worker?.memoryBytes ?? 0) / rss - 1) < 0.3, `${worker?.memoryBytes} and ${rss}`)
    assert.equal(worker?.scopes.length, 2)
    for (const scope of worker?.scopes ?? []) {
      assert.deepEqual(Object.keys(scope), [
        'scope',
        'state',
        'route',
        'openMs',
        'deadlineInMs',
        'usage',
        'processes'
      ])
      assert.ok((scope.usage?.peakProcesses ?? 0) >= scope.processes.length)
      assert.equal(scope.state, 'open')
      assert.ok((scope.openMs ?? -1) >= 0 && (scope.openMs ?? 0) <= busyForMs)
      for (const process of scope.processes) {
        assert.deepEqual(Object.keys(process), [
          ...['pid', 'parent', 'command', 'ageMs', 'memoryBytes', 'cpuMs'],
          ...['peakMemoryBytes', 'readBytes', 'writtenBytes']
        ])
        assert.ok((process.peakMemoryBytes ?? 0) >= process.memoryBytes)
        assert.equal(process.parent, statOf(process.pid)?.parent)
        // The kernel gives the start time in hundredths of a second.
        assert.ok(process.ageMs >= 0 && process.ageMs <= busyForMs + 20, `${process.ageMs} of ${busyForMs}`)
        assert.ok(process.memoryBytes > 100_000)
      }
    }
    assert.deepEqual(pidsOf(worker), announcedBy(served))
  })

  test('are shown with their requests and the time until each deadline', () => {
    const text = lines.join('\n')
    assert.match(
      text,
      /^ {2}scope \d+ {2}open \d+\.\d s {2}deadline in 1 h 2\d min {2}cpu [\d.]+ s {2}(peak \d+ [kM]B {2})?GET \/deep\/:id$/m
    )
    assert.match(
      text,
      /^ {2}scope \d+ {2}open \d+\.\d s {2}deadline none {2}cpu [\d.]+ s {2}(peak \d+ [kM]B {2})?GET \/daemon$/m
    )
    assert.deepEqual(
      worker?.scopes.map(({ route }) => route),
      ['GET /deep/:id', 'GET /daemon']
    )
    const [deep, daemon] = worker?.scopes.map(({ deadlineInMs }) => deadlineInMs) ?? []
    assert.ok(deep && deep <= timeout && deep >= timeout - busyForMs, `${deep}`)
    assert.equal(daemon, null)
  })

  test('are not shown to other users', {
    skip: whyNoOtherUser() ?? false
  }, async () => {
    assert.ok(served.guard.keeper > 0)
    const { status, stdout, stderr } = await runCli(['ps'], { user: otherUser })
    assert.equal(stdout, `no guarded worker is visible to user ${otherUser}\n`)
    assert.deepEqual([status, stderr], [0, ''])
  })

  test('are not shown in another PID namespace, where the command prints that there is none', {
    skip: whyNoNamespaces() ?? false
  }, async () => {
    assert.ok(served.guard.keeper > 0)
    const { status, stdout, stderr } = await runCli(['ps'], { via: inNamespaces })
    assert.equal(stdout, 'no guarded worker is visible to user root\n')
    assert.deepEqual([status, stderr], [0, ''])
    assert.equal((await runCli(['ps', '--json'], { via: inNamespaces })).stdout, '[]\n')
  })

  test('fit into a terminal, and are redrawn there with --watch', {
    skip: whyNoTerminal() ?? false
  }, async (t) => {
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
    // The last row holds only the cursor.
    assert.ok(rows.length <= 9, second)
    assert.match(second, /\(\d+ more lines\)/)
    for (const row of rows) assert.ok(row.length <= 50, row)
    const first = rows.find((row) => row.startsWith('worker '))
    assert.ok(first?.length === 50 && first.endsWith('…'), first)
    assert.ok(served.guard.keeper > 0)
  })

  test('are shown by their marks, with a note, while the keeper is stopped, and in full once it is continued', async () => {
    const { keeper } = served.guard
    process.kill(keeper, 'SIGSTOP')
    try {
      await eventually('the keeper is stopped', () => statOf(keeper)?.state === 'T')
      const state = await assertFoundByMarks(served, process.pid, /^its keeper is stopped: /)
      assert.equal(state?.keeper, keeper)
    } finally {
      // The end of the guard waits for the keeper.
      process.kill(keeper, 'SIGCONT')
    }
    await eventually('the keeper runs', () => statOf(keeper)?.state !== 'T')
    assert.equal((await shown())?.note, null)
  })

  test('are shown while no scope is open, and no longer once the guard is closed', async () => {
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
  test('without koffi is shown, by a command without koffi', async (t) => {
    const { plugin, cli, remove } = await installWithoutKoffi()
    t.after(remove)
    const served = await serveBusy(plugin)
    t.after(() => served.close())
    const worker = await shown(process.pid, cli)
    assert.equal(worker?.containment, levelWithoutKoffi)
    assert.deepEqual(pidsOf(worker), announcedBy(served))
  })
})

suite('a keeper that does not answer', () => {
  test('because it is lost: its worker is shown, and later what the worker left', async (t) => {
    const worker = await Worker.start()
    t.after(() => worker.close())
    worker.run('daemon.sh')
    worker.run('background-child.sh')
    await worker.witness.present(4)
    // This also stops the worker, so that it does not start another keeper.
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

  test('because it is lost: its worker is shown with what carries its marks, except what a service started', async (t) => {
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

  const invalidAnswer = /^its keeper gives an answer that is not understood: /
  const cases = [
    { how: 'does not answer', answer: undefined, note: /^its keeper has not answered within 5000 ms: / },
    { how: 'speaks another protocol', answer: 'HTTP/1.1 400 Bad Request\r\n\r\n', note: invalidAnswer },
    { how: 'closes the connection', answer: '', note: invalidAnswer },
    {
      how: 'sends no scopes',
      answer: { worker: 1, keeper: 2, containment: levelWithoutKoffi },
      note: invalidAnswer
    }
  ]

  test('is shown with the reason, also if there are several', async (t) => {
    const keepers = await Promise.all(cases.map(({ answer }) => StandInKeeper.start(answer)))
    t.after(() => Promise.all(keepers.map((keeper) => keeper.close())))
    const workers = await allShown()
    for (const [i, { how, note }] of cases.entries()) {
      const keeper = keepers[i] as StandInKeeper
      const state = workers.find(({ worker }) => worker === keeper.worker)
      assert.equal(state?.keeper, keeper.pid, `a keeper that ${how}`)
      assert.match(state?.note ?? '', note, `a keeper that ${how}`)
    }
  })
})

suite('the answer of a keeper', () => {
  const facts = { worker: 1, keeper: 1, containment: 'subreaper' }
  const scope = { scope: 3, state: 'open', openMs: 12_400, processes: [] as object[] }

  test('is shown line by line', async (t) => {
    const answers = [
      [{ ...scope, route: 'GET /', deadlineInMs: 3_290 }, '  scope 3  open 12.4 s  deadline in 3.2 s  GET /'],
      [{ ...scope, route: 'GET /', deadlineInMs: -1 }, '  scope 3  open 12.4 s  deadline passed  GET /'],
      [scope, '  scope 3  open 12.4 s  deadline none  no route'],
      [
        { ...scope, state: 'closing', openMs: 250_000 },
        '  scope 3  closing  open 4 min 10 s  deadline none  no route'
      ],
      [{ ...scope, openMs: 90_000_000 }, '  scope 3  open 1 d 1 h  deadline none  no route'],
      [
        { ...scope, usage: { cpuMs: 65_000, peakMemoryBytes: 3e8 } },
        '  scope 3  open 12.4 s  deadline none  cpu 1 min 5 s  peak 300 MB  no route'
      ],
      [
        { ...scope, scope: 0, openMs: 7_500_000 },
        '  outside requests  open 2 h 5 min  deadline none  no route'
      ],
      // A terminal would interpret the escape sequence.
      [{ ...scope, route: 'GET /\x1b[2J\r\n' }, '  scope 3  open 12.4 s  deadline none  GET /?[2J??'],
      // A process that does not exist is not shown.
      [
        { ...scope, processes: [{ pid: spawnSync('true').pid }] },
        '  scope 3  open 12.4 s  deadline none  no route'
      ]
    ] as const
    const keeper = await StandInKeeper.start({ ...facts, scopes: answers.map(([scope]) => scope) })
    t.after(() => keeper.close())
    const lines = await linesOn(keeper.worker)
    assert.deepEqual(
      lines.slice(1),
      answers.flatMap(([, line]) => [line, '         no process'])
    )
  })
})

suite('a keeper whose socket is hard to reach', () => {
  test('is asked by a path of the maximum length for a socket, also for released processes', async (t) => {
    const base = mkdtempSync(join(tmpdir(), 'long-'))
    t.after(() => rmSync(base, { recursive: true, force: true }))
    // The rest of the path. The pid of the worker may have one digit more than that of this process.
    const restLength = `/subprocess-guard-${folderTagOf(workerMarkOf(process.pid))}_XXXXXX/stdio`.length + 1
    const folder = join(base, 'x'.repeat(107 - restLength - base.length - 1))
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
    // Shown apart from the processes of its requests.
    assert.deepEqual(new Set(state?.unscoped.map(({ pid }) => pid)), released)
    assert.match((await linesOn(worker.pid)).join('\n'), /^ {2}in no open scope: .*released/m)
  })

  test('is asked across mounts and PID namespaces, and its processes are shown with pids of this namespace', {
    skip: whyNoNamespaces() ?? false
  }, async (t) => {
    const witness = new Witness()
    t.after(() => {
      // The announced pids are those of the inner namespace. Out here they may belong to any process.
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
  test('may be cut off by its reader', async () => {
    const command = `{ "${process.execPath}" "${cli}" ps --watch 0.1; echo "status $?" >&2; } | head -1`
    const { stdout, stderr } = spawnSync('sh', ['-c', command], { encoding: 'utf8', timeout: patienceMs })
    assert.match(stdout, /^.*, every 0.1 s\n$/)
    assert.equal(stderr, 'status 0\n')
  })

  for (const [how, flags, isOne] of [
    ['as text', [], (line: string) => line.endsWith('every 0.1 s')],
    ['as JSON', ['--json'], (line: string) => Array.isArray(JSON.parse(line || 'null'))]
  ] as const) {
    test(`is repeated with --watch until Ctrl-C, ${how}`, async () => {
      const child = startCli(['ps', '--watch', '0.1', ...flags])
      let output = ''
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        output += text
      })
      const count = (): number => output.split('\n').slice(0, -1).filter(isOne).length
      await eventually('it was shown three times', () => count() >= 3)
      child.kill('SIGINT')
      assert.deepEqual(await once(child, 'exit'), [0, null])
      assert.ok(!output.includes('\x1b'))
    })
  }

  test('is an error for an invalid interval', async () => {
    const { status, stderr } = await runCli(['ps', '--watch', 'often'])
    assert.equal(status, 1)
    assert.match(stderr, /^error: .*'often' is invalid.*give a number of seconds from 0\.1/)
  })
})

/** The pid of a process in its own PID namespace; undefined if it has exited, which it may at any time. */
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

/** Why the command cannot be run as another user; undefined if it can. */
function whyNoOtherUser(): string | undefined {
  if (process.getuid?.() !== 0) return 'only root can run a program as another user'
  const { status } = spawnSync(process.execPath, [cli, '--version'], { uid: otherUser, gid: otherUser })
  if (status !== 0) return 'other users cannot run this Node, or cannot read the package'
  return undefined
}
