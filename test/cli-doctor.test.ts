/** `subprocess-guard doctor` reports the containment level of this machine, and of restricted namespaces. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, suite, type TestContext, test } from 'node:test'
import { createGuard } from 'fastify-subprocess-guard'
import { type CliSetup, inNamespaces, runCli, startCli, whyNoNamespaces } from './harness/cli.js'
import { eventually } from './harness/expectations.js'
import { noNewPlaces, runMainInNewPlaces } from './harness/new-places.js'
import { type Installed, installWithoutKoffi } from './harness/without-koffi.js'

interface Finding {
  readonly name: string
  readonly severity: 'ok' | 'note' | 'problem'
  readonly says: string
  readonly toDo?: string
}

interface Diagnosis {
  readonly status: number | null
  readonly containment: string
  readonly why: string | null
  readonly findings: readonly Finding[]
  /** The finding of that name. */
  of(name: string): Finding
}

// Some tests are about a machine that allows less.
delete process.env.SUBPROCESS_GUARD_CONTAINMENT

const silent = { info() {}, warn() {}, error() {} }
const noNamespaces = whyNoNamespaces() ?? false
const names = [
  ...['node', 'system', '/proc', 'socket folder', 'koffi', 'children', 'subreaper', 'pidfd', 'scope cgroups'],
  ...['shared folder', 'process 1', 'open files', 'processes', 'cgroup', 'user namespaces']
]

async function diagnose(setup?: CliSetup): Promise<Diagnosis> {
  const { status, stdout, stderr } = await runCli(['doctor', '--json'], setup)
  assert.equal(stderr, '')
  const { containment, why, findings } = JSON.parse(stdout) as Diagnosis
  const of = (name: string): Finding => {
    const found = findings.filter((finding) => finding.name === name)
    assert.equal(found.length, 1, name)
    return found[0] as Finding
  }
  return { status, containment, why, findings, of }
}

/** The start of a command line that first runs a shell script in new namespaces, e.g. to restrict them. */
function afterScript(script: string): readonly string[] {
  return [...inNamespaces, 'sh', '-c', `${script} && exec "$@"`, 'sh']
}

/** The skip reason if a program of util-linux is missing, else false. */
function unlessInstalled(program: string): string | false {
  return spawnSync(program, ['--version']).status === 0 ? false : `${program}(1) of util-linux is missing`
}

function tempFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'doctor-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

// Run concurrently: the doctor spends most of its time waiting to see whether process 1 reaps.
suite('the level of containment', { concurrency: true }, () => {
  let withoutKoffi: Installed
  let containments: string[]
  before(async () => {
    withoutKoffi = await installWithoutKoffi()
    containments = []
    // Sequentially, and before any command runs: a command started while a guard is open inherits a mark.
    for (const create of [createGuard, withoutKoffi.createGuard]) {
      const guard = await create({ logger: silent })
      containments.push(guard.containment)
      await guard.close()
    }
  })
  after(() => withoutKoffi.remove())

  test('is that of a guard on the same machine', async (t) => {
    const [containment] = containments
    const folder = tempFolder(t)
    const diagnosis = await diagnose({ env: { TMPDIR: folder } })
    assert.equal(diagnosis.containment, containment)
    assert.equal(diagnosis.status, containment === 'marks' ? 1 : 0)
    assert.equal(diagnosis.why === null, containment === 'cgroup')
    assert.deepEqual(diagnosis.of('node').severity, 'ok')
    if (containment !== 'marks')
      assert.deepEqual(
        diagnosis.findings.map(({ name }) => name),
        names
      )
    assert.deepEqual(diagnosis.of('socket folder'), {
      ...{ name: 'socket folder', severity: 'ok', says: `The keeper can have its socket in ${folder}.` }
    })

    // The text output has the same findings, each with the way out.
    const { stdout, stderr } = await runCli(['doctor'], { env: { TMPDIR: '/not-there' } })
    assert.equal(stderr, '')
    assert.match(stdout, /^ok {7}node {13}Node \d+\.\d+\.\d+ is supported\.$/m)
    assert.match(stdout, /^note {5}socket folder {4}The keeper has its socket in .+\n {26}-> Set TMPDIR to/m)
    assert.match(stdout, new RegExp(`\n\ncontainment: ${containment}( \\(.+\\))?\n$`))
  })

  test('is marks, with the way out, without koffi or with a koffi built for another machine', async () => {
    const { cli } = withoutKoffi
    assert.equal(containments[1], 'marks')
    const diagnosis = await diagnose({ entry: cli })
    assert.deepEqual([diagnosis.status, diagnosis.containment], [1, 'marks'])
    assert.equal(diagnosis.why, 'koffi is not installed, so the keeper cannot become a subreaper')
    const { severity, toDo } = diagnosis.of('koffi')
    assert.equal(severity, 'problem')
    assert.match(toDo ?? '', /--omit=optional/)

    const koffi = join(dirname(cli), '../../node_modules/koffi')
    mkdirSync(koffi)
    writeFileSync(join(koffi, 'package.json'), '{"name":"koffi","main":"main.js"}')
    writeFileSync(join(koffi, 'main.js'), 'throw new Error("wrong ELF class\\nand more")')
    const another = await diagnose({ entry: cli })
    assert.equal(another.containment, 'marks')
    assert.match(
      another.of('koffi').says,
      new RegExp(`^koffi does not work on this ${process.arch} machine with .+: wrong ELF class\\.$`)
    )
  })

  test('is none if no directory can hold the keeper’s socket', { skip: noNamespaces }, async (t) => {
    const closed = join(tempFolder(t), 'not-there')
    const setup = {
      via: afterScript('mount -t tmpfs -o ro none /dev/shm'),
      env: { TMPDIR: closed, XDG_RUNTIME_DIR: '' }
    }
    const diagnosis = await diagnose(setup)
    assert.deepEqual([diagnosis.status, diagnosis.containment], [1, 'none'])
    const { severity, says } = diagnosis.of('socket folder')
    assert.equal(severity, 'problem')
    assert.match(says, /^There is no place for the keeper's socket: ENOENT.*; EROFS/)
    const { stdout } = await runCli(['doctor'], setup)
    assert.match(
      stdout,
      /\ncontainment: none \(the guard cannot run: there is no place for the keeper's socket/
    )
  })

  test('is none if no /proc is mounted', { skip: noNamespaces }, async () => {
    const diagnosis = await diagnose({ via: afterScript('mount -t tmpfs none /proc') })
    assert.deepEqual([diagnosis.status, diagnosis.containment], [1, 'none'])
    assert.equal(diagnosis.of('/proc').says, 'No /proc is mounted: the guard finds no process.')
  })
})

suite('the findings', { concurrency: true }, () => {
  test('name the directory of the socket, and why others were rejected', async (t) => {
    const long = join(tempFolder(t), 'x'.repeat(100))
    mkdirSync(long)
    const env = { TMPDIR: long, XDG_RUNTIME_DIR: 'somewhere' }
    const { severity, says } = (await diagnose({ env })).of('socket folder')
    assert.equal(severity, 'note')
    assert.ok(says.includes(`because other places do not work: ${long}: path too long for a socket`), says)
    assert.match(says, /"somewhere" is not an absolute path/)
  })

  test('name low limits for open files and processes', { skip: unlessInstalled('prlimit') }, async () => {
    const low = await diagnose({ via: ['prlimit', '--nofile=256:256', '--nproc=1000:1000'] })
    const files = low.of('open files')
    assert.equal(files.severity, 'note')
    assert.match(files.says, /^A worker may have 256 descriptors: .* each piped stream/)
    assert.match(files.toDo ?? '', /LimitNOFILE=/)
    const processes = low.of('processes')
    assert.equal(processes.severity, 'note')
    assert.match(processes.says, /^This user may have 1000 processes and threads/)
    const high = (await diagnose({ via: ['prlimit', '--nofile=1024:1024'] })).of('open files')
    assert.equal(high.severity, 'ok')
  })
})

suite('the directory that the servers of a user share', { skip: noNewPlaces }, () => {
  test('is named, with whatever blocks it', () => {
    const args = ['doctor', '--json']
    const of = (prepare: string): Finding | undefined =>
      runMainInNewPlaces<Diagnosis>(prepare, '../../../dist/cli/subprocess-guard.js', ...args).findings.find(
        ({ name }) => name === 'shared folder'
      )
    const path = '/dev/shm/subprocess-guard-0'
    assert.equal(of('')?.severity, 'ok')
    assert.match(of('')?.says ?? '', new RegExp(`^This user's servers share ${path}, for notes`))
    const { severity, says, toDo } = of(`mkdir -m 777 ${path}`) as Finding
    assert.equal(severity, 'note')
    assert.match(
      says,
      /share \/tmp\/subprocess-guard-0, .*in the way elsewhere: .+ is open to other users\.$/
    )
    assert.match(toDo ?? '', /^Remove what is in the way/)
    const none = of(
      `mount -t tmpfs -o ro none /tmp/own; for p in /tmp /dev/shm; do mount -o remount,bind,ro $p; done`
    )
    assert.match(none?.says ?? '', /^There is no folder that this user's servers can share: EROFS/)
  })
})

suite('process 1', { concurrency: true, skip: noNamespaces }, () => {
  test('that is Node is a problem, and the ways to get an init are named', async () => {
    const { severity, says, toDo } = (await diagnose({ via: inNamespaces })).of('process 1')
    assert.equal(severity, 'problem')
    assert.match(says, /^Process 1 of this PID namespace is node, which reaps no orphans/)
    for (const way of ['docker run --init', 'shareProcessNamespace', 'tini']) assert.ok(toDo?.includes(way))
  })

  test('that is a shell is a problem: it does not forward signals', async () => {
    const via = [...inNamespaces, 'sh', '-c', '"$@"; exit $?', 'sh']
    const { severity, says } = (await diagnose({ via })).of('process 1')
    assert.equal(severity, 'problem')
    assert.match(says, /is sh, which does not forward SIGTERM/)
  })

  test('that leaves zombies is a problem, whatever program it is', async () => {
    // Process 1 becomes `sleep`, which does not reap. An orphan waits for that before it exits, so that no
    // shell reaps it first. The doctor starts once the orphan is a zombie.
    const program =
      '((until read -r name </proc/1/comm && [ "$name" = sleep ]; do :; done) &); ' +
      '(until grep -qs "^State:.Z" /proc/[0-9]*/status; do sleep 0.05; done; exec "$@") & ' +
      'exec sleep 1000'
    const child = startCli(['doctor', '--json'], { via: [...inNamespaces, 'sh', '-c', program, 'sh'] })
    const exited = once(child, 'exit')
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
    try {
      await eventually('the doctor has printed its findings', () => output.endsWith('}\n'))
    } finally {
      // This also kills every process in its PID namespace.
      child.kill('SIGKILL')
      await exited
    }
    const { findings } = JSON.parse(output) as Diagnosis
    const { severity, says } = findings.find(({ name }) => name === 'process 1') as Finding
    assert.equal(severity, 'problem')
    assert.match(says, /is sleep, which does not reap\. It has left 1 zombies so far\.$/)
  })

  test('that is an init is ok', async (t) => {
    const tini = join(tempFolder(t), 'tini')
    symlinkSync(process.execPath, tini)
    const via = [...inNamespaces, 'sh', '-c', `shift; exec ${tini} "$@"`, 'sh']
    assert.deepEqual((await diagnose({ via })).of('process 1'), {
      ...{ name: 'process 1', severity: 'ok', says: 'Process 1 of this PID namespace is tini, an init.' }
    })
  })
})

suite('a restricted /proc', { concurrency: true, skip: noNamespaces || unlessInstalled('setpriv') }, () => {
  // Nothing is hidden from a process with CAP_SYS_PTRACE.
  const withoutPtrace = 'set -- setpriv --bounding-set=-sys_ptrace "$@"'

  for (const [option, says] of [
    ['hidepid=1', /^hidepid=(1|noaccess): what another user runs cannot be read\./],
    ['hidepid=2', /^hidepid=(2|invisible): what another user runs is not shown\./],
    ['subset=pid', /^subset=pid: .* the age of a process is unknown\.$/]
  ] as const) {
    test(`is reported with its effect: ${option}`, async (t) => {
      const mount = `mount -t proc -o ${option} proc /proc`
      const [file, ...args] = afterScript(mount) as [string, ...string[]]
      if (spawnSync(file, [...args, 'true']).status !== 0) {
        t.skip(`this kernel does not mount /proc with ${option} here`)
        return
      }
      const finding = (await diagnose({ via: afterScript(`${mount} && ${withoutPtrace}`) })).of('/proc')
      assert.equal(finding.severity, 'note')
      assert.match(finding.says, says)
      assert.match(finding.toDo ?? '', /^Mount \/proc without this option/)
    })
  }

  test('hides nothing from a process with CAP_SYS_PTRACE', async () => {
    const finding = (await diagnose({ via: afterScript('mount -t proc -o hidepid=2 proc /proc') })).of(
      '/proc'
    )
    assert.equal(finding.severity, 'ok')
    assert.match(finding.says, /hides nothing from this user, despite hidepid=/)
  })
})
