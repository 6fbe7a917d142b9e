/** The option `limits.rlimits`: each command has its limits before its first instruction, and nobody else has them. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import subprocessGuard, { type GuardOptions, type Rlimits } from 'fastify-subprocess-guard'
import type * as RefuseModule from '../lib/guard/refuse-unsupported-limits.js'
import type * as PlatformModule from '../lib/platform/current.js'
import type * as EmulatedModule from '../lib/platform/linux/is-emulated.js'
import type { RlimitName } from '../lib/rlimit-options.js'
import { compiled } from './harness/compiled.js'
import { limitOwnDescriptors, takeAllDescriptors } from './harness/descriptors.js'
import type { Guarded } from './harness/guarded.js'
import { isTreeLevel } from './harness/level.js'
import { whyNoOther } from './harness/no-room.js'
import { type StartWay, saidBy, saidByCommand, startWays } from './harness/start-ways.js'

const { refuseUnsupportedLimits }: typeof RefuseModule = await compiled('guard/refuse-unsupported-limits')
const { platform }: typeof PlatformModule = await compiled('platform/current')
const { isEmulated }: typeof EmulatedModule = await compiled('platform/linux/is-emulated')

const nobody = 65_534
/** By qemu, which sets no limits of address space, data and stack, but reports success. */
const emulated = isEmulated()
const ignoredByEmulator = emulated ? ['as', 'data', 'stack'] : []
const isRoot = process.getuid?.() === 0
const folder = mkdtempSync(join(tmpdir(), 'rlimits-'))
after(() => rmSync(folder, { recursive: true }))
const notRoot = isRoot ? whyNoOther() : 'only root can be another user'
const needsPrlimit = spawnSync('prlimit', ['--version']).status !== 0 && 'prlimit(1) of util-linux is missing'
const needsBash = spawnSync('bash', ['--version']).status !== 0 && 'bash is missing'
const leadsSession = 'a command leads a session there, so that setsid(1) forks and exits at once'
const answering = fileURLToPath(new URL('../../test/programs/answers.mjs', import.meta.url))

/** Each differs from any usual value. The units of shells divide them. */
const rlimits = {
  core: 0,
  nofile: 67,
  fsize: 1_024_000,
  ...(emulated ? {} : { stack: 4_096_000 }),
  cpu: 1_234
} satisfies Rlimits
const labels = {
  core: 'core file size',
  cpu: 'cpu time',
  fsize: 'file size',
  nofile: 'open files',
  stack: 'stack size'
}
/** Whole numbers of the units of shells, and no more than any system allows. */
const oneByOne: Readonly<Record<RlimitName, [value: number, label: string]>> = {
  as: [2_000_000_000, 'address space'],
  core: [1_024, labels.core],
  cpu: [1_235, labels.cpu],
  data: [1_024_000_000, 'data size'],
  fsize: [1_536, labels.fsize],
  locks: [4, 'file locks'],
  memlock: [5_120, 'locked memory'],
  msgqueue: [6, 'msgqueue size'],
  nice: [0, 'nice priority'],
  nofile: [68, labels.nofile],
  nproc: [900, 'processes'],
  rss: [10_240, 'resident set'],
  rtprio: [0, 'realtime priority'],
  rttime: [12, 'realtime timeout'],
  sigpending: [13, 'pending signals'],
  stack: [1_024_000, labels.stack]
}
const showLimits = 'cat /proc/self/limits'

type Shown = Record<keyof typeof labels, [soft: string, hard: string]>

/** The soft and the hard limits in a text such as `/proc/<pid>/limits`. */
function limitsIn(text: string): Shown {
  const shown = Object.entries(labels).filter(([name]) => !ignoredByEmulator.includes(name))
  const entries = shown.map(([name, label]) => {
    const [, soft, hard] = new RegExp(`^Max ${label} +(\\S+) +(\\S+)`, 'm').exec(text) ?? []
    return [name, [soft, hard]]
  })
  return Object.fromEntries(entries)
}

const wanted = Object.fromEntries(
  Object.entries(rlimits).map(([name, value]) => [name, [`${value}`, `${value}`]])
)

function limitsOf(pid: number): string {
  return readFileSync(`/proc/${pid}/limits`, 'utf8')
}

async function startBy(
  way: StartWay,
  t: TestContext,
  limits: Rlimits = rlimits,
  options: GuardOptions = {}
): Promise<Guarded> {
  const guarded = await way.start({ limits: { rlimits: limits }, ...options })
  t.after(() => guarded.close())
  return guarded
}

for (const [name, way] of Object.entries(startWays)) {
  const { skip } = way
  suite(`a command that is started in the way "${name}"`, { skip }, () => {
    test('has the limits, and so have a child and an orphan of it', async (t) => {
      const { guard } = await startBy(way, t)
      const script = `${showLimits}; echo --; sh -c '${showLimits}'; echo --; (sh -c '${showLimits}' &) | cat`
      const three = (await saidBy(guard.open(), script)).join('\n').split('--')
      assert.equal(three.length, 3)
      for (const text of three) assert.deepEqual(limitsIn(text), wanted)
    })

    test('has them in a session that it begins itself', {
      skip: (name === 'marks' || emulated) && leadsSession
    }, async (t) => {
      const { guard } = await startBy(way, t)
      const said = await saidByCommand(guard.open(), ['setsid', 'sh', '-c', `read go; ${showLimits}`])
      assert.deepEqual(limitsIn(said.join('\n')), wanted)
    })

    test('has them as another user', { skip: notRoot }, async (t) => {
      const { guard } = await startBy(way, t)
      const said = await saidBy(guard.open(), `id -u; ${showLimits}`, { uid: nobody, gid: nobody })
      assert.equal(said[0], `${nobody}`)
      assert.deepEqual(limitsIn(said.join('\n')), wanted)
    })

    test('has limits that would end the server', async (t) => {
      // Node reserves more address space than this when it starts.
      const { guard } = await startBy(way, t, { as: 102_400_000, data: 20_480_000, cpu: 1, nproc: 0 })
      const { stdout } = await guard.open().execFile('cat', ['/proc/self/limits'])
      if (!emulated) assert.match(stdout, /^Max address space +102400000 +102400000/m)
      assert.match(stdout, /^Max processes +0 +0/m)
    })

    test('changes those of the server and its keeper at no time, even if it cannot be started', async (t) => {
      const { guard } = await startBy(way, t)
      const pids = [process.pid, guard.keeper]
      const before = pids.map(limitsOf)
      const scope = guard.open()
      await scope.execFile('true')
      await assert.rejects(scope.execFile('/no/such/program'), { code: 'ENOENT' })
      await assert.rejects(scope.execFile('true', { cwd: '/no/such/folder' }), { code: 'ENOENT' })
      assert.deepEqual(pids.map(limitsOf), before)
    })

    test('has the pid, the session, the name and the handle that it would have without', async (t) => {
      const { guard } = await startBy(way, t)
      const scope = guard.open()
      const child = scope.spawn('sh', ['-c', 'echo "$$ $0 $1"', 'zero', 'one'], {})
      assert.equal(child.spawnfile, 'sh')
      assert.deepEqual(child.spawnargs, ['sh', '-c', 'echo "$$ $0 $1"', 'zero', 'one'])
      let output = ''
      child.stdout.on('data', (bytes) => {
        output += bytes
      })
      await once(child, 'close')
      assert.equal(output.trim(), `${child.pid} zero one`)
      const { stdout } = await scope.execFile('sh', [
        '-c',
        // A shell may become the last program of its script.
        'cut -d" " -f5,6 /proc/$$/stat; echo $$; cat /proc/$$/cmdline; true'
      ])
      const [group, pid, line] = stdout.split('\n')
      assert.equal(group, `${pid} ${pid}`)
      // The emulator shows itself first.
      assert.ok(emulated ? line?.includes('sh\0-c\0') : line?.startsWith('sh\0-c\0'), line)
    })

    test('keeps another argv[0], and runs in a shell', { skip: needsBash }, async (t) => {
      const { guard } = await startBy(way, t)
      const scope = guard.open()
      // Not a shell: that of busybox is found by its name.
      const named = await scope.execFile(process.execPath, ['-p', 'process.argv0'], {
        argv0: 'another name'
      })
      assert.equal(named.stdout, 'another name\n')
      const { stdout } = await scope.exec('echo "$(ulimit -n) a  b"')
      assert.equal(stdout, '67 a  b\n')
    })

    test('that is missing or cannot be run fails as without limits', async (t) => {
      const limited = (await startBy(way, t)).guard.open()
      const file = join(folder, 'not-executable')
      writeFileSync(file, '')
      const failures = [
        ['no-such-program', {}],
        [file, {}],
        [folder, {}],
        ['./not-executable', { cwd: folder }],
        ['not-executable', { env: { PATH: folder } }],
        ['sh', { env: { PATH: '/no/such/folder' } }],
        ['sh', { cwd: '/no/such/folder' }]
      ] as const
      const limitedErrors = []
      for (const [command, options] of failures) limitedErrors.push(await errorOf(limited, command, options))
      await limited.close()
      const unlimited = await way.start()
      t.after(() => unlimited.close())
      const scope = unlimited.guard.open()
      for (const [index, [command, options]] of failures.entries())
        assert.deepEqual(limitedErrors[index], await errorOf(scope, command, options), command)
    })

    test('runs Node with few descriptors and without core files', async (t) => {
      const { guard } = await startBy(way, t, { core: 0, nofile: 64 })
      const { stdout } = await guard.open().execFile(process.execPath, ['-p', '6 * 7'])
      assert.equal(stdout, '42\n')
    })

    test('is not started with a limit above the hard limit of the server', {
      skip: isTreeLevel && 'the shell refuses it there'
    }, async (t) => {
      const [, hard] = limitsIn(limitsOf(process.pid)).nofile
      const nofile = Number(hard) + 1
      const { guard } = await startBy(way, t, { nofile })
      const file = join(folder, `started-${name}`)
      const message = `spawn touch EPERM: limits.rlimits.nofile is ${nofile}, above the hard limit of the server, ${hard}`
      await assert.rejects(async () => guard.open().execFile('touch', [file]), { code: 'EPERM', message })
      assert.throws(() => statSync(file), { code: 'ENOENT' })
    })
  })
}

/** What the user learns of a command that could not be started. */
async function errorOf(
  scope: ReturnType<Guarded['guard']['open']>,
  command: string,
  options: object
): Promise<unknown> {
  const child = scope.spawn(command, ['argument'], options)
  const [error] = await once(child, 'error')
  const { message, code, errno, syscall, path, spawnargs } = error as Error & Record<string, unknown>
  return { message, code, errno, syscall, path, spawnargs, pid: child.pid }
}

test('a forked program has the limits, and its channel', async (t) => {
  const { guard } = await startBy(startWays.keeper, t)
  const child = guard.open().fork(answering)
  await once(child, 'message')
  assert.deepEqual(limitsIn(limitsOf(child.pid as number)), wanted)
  assert.equal(child.spawnfile, process.execPath)
  assert.deepEqual(child.spawnargs.at(-1), answering)
})

test('a program that writes too much is ended, and its request gets its answer', async (t) => {
  const app = Fastify()
  t.after(() => app.close())
  await app.register(subprocessGuard, { limits: { rlimits: { fsize: 10_000, core: 0 } } })
  const file = join(folder, 'large')
  app.get('/', async ({ subprocesses }) => {
    const ended = await subprocesses
      .execFile('dd', ['if=/dev/zero', `of=${file}`, 'bs=1000', 'count=50'])
      .then(
        () => assert.fail('it has written all'),
        ({ signal }) => signal
      )
    return { ended, bytes: statSync(file).size }
  })
  const answer = await app.inject('/')
  assert.equal(answer.statusCode, 200)
  assert.deepEqual(answer.json(), { ended: 'SIGXFSZ', bytes: 10_000 })
})

suite('the option limits.rlimits', () => {
  test('of a route overrides that of the guard key by key, and false is the limit of the server', async (t) => {
    const app = Fastify()
    t.after(() => app.close())
    await app.register(subprocessGuard, { limits: { rlimits } })
    const config = { subprocessGuard: { limits: { rlimits: { nofile: 68, cpu: false } } } } as const
    app.get('/', { config }, async ({ subprocesses }) =>
      limitsIn((await saidBy(subprocesses, showLimits)).join('\n'))
    )
    const { cpu } = limitsIn(limitsOf(process.pid))
    assert.deepEqual((await app.inject('/')).json(), { ...wanted, nofile: ['68', '68'], cpu })
  })

  test('of a job overrides that of the guard', async (t) => {
    const { guard } = await startBy(startWays.keeper, t)
    const job = { limits: { rlimits: { nofile: 69 } } }
    const said = await guard.run(job, (scope) => saidBy(scope, showLimits))
    assert.deepEqual(limitsIn(said.join('\n')), { ...wanted, nofile: ['69', '69'] })
  })

  test('sets every limit by its name', {
    skip: needsPrlimit || (emulated && 'the emulator ignores some limits')
  }, async (t) => {
    const every = {
      as: 2_000_000_000,
      core: 1,
      cpu: 2,
      data: 1_000_000_000,
      fsize: 3,
      locks: 4,
      memlock: 5,
      msgqueue: 6,
      nice: 0,
      nofile: 8,
      nproc: 9,
      rss: 10,
      rtprio: 0,
      rttime: 12,
      sigpending: 13,
      stack: 1_000_000
    } satisfies Rlimits
    const { guard } = await startBy(startWays.keeper, t, every)
    const { stdout } = await guard.open().execFile('cat', ['/proc/self/limits'])
    const hard = stdout
      .split('\n')
      .flatMap((line) => /^Max .+? +\S+ +(\d+|unlimited) *\w*$/.exec(line.trim())?.[1] ?? [])
    assert.deepEqual(hard.map(Number).sort(ascending), Object.values(every).sort(ascending))
  })

  test('is refused where the system has no such limits', () => {
    const { limiterOf } = platform
    const noLimits = { commands: undefined, scope: undefined, rlimits: undefined }
    Object.assign(platform, { limiterOf: undefined })
    try {
      assert.doesNotThrow(() => refuseUnsupportedLimits(noLimits, 'tree'))
      assert.throws(() => refuseUnsupportedLimits({ ...noLimits, rlimits: { core: 0 } }, 'tree'), {
        name: 'SubprocessOptionError',
        message: 'limits.rlimits is {"core":0}: leave it out: this system has no resource limits'
      })
    } finally {
      Object.assign(platform, { limiterOf })
    }
  })
})

const prlimitOfMusl = `#!/usr/bin/env python3
import os, sys
command = sys.argv[sys.argv.index('--') + 1:]
os.execvp(command[0], command)
`

test('a script without a #! line is run by the shell, even by a prlimit(1) that does not do so', {
  skip: spawnSync('python3', ['--version']).status !== 0 && 'python3 is missing'
}, async (t) => {
  const bin = mkdtempSync(join(folder, 'bin-'))
  writeFileSync(join(bin, 'prlimit'), prlimitOfMusl, { mode: 0o755 })
  const script = join(folder, 'no-interpreter')
  writeFileSync(script, 'echo "$1"; exit 3\n', { mode: 0o755 })
  const before = process.env.PATH
  process.env.PATH = `${bin}:${before}`
  t.after(() => {
    process.env.PATH = before
  })
  const { guard } = await startBy(startWays.keeper, t, { core: 0 })
  const scope = guard.open()
  const { stdout } = await scope.execFile('echo', ['a program is started as before'])
  assert.equal(stdout, 'a program is started as before\n')
  await assert.rejects(scope.execFile(script, ['a b']), { code: 3, stdout: 'a b\n' })
  const env = { PATH: `${folder}:${before}` }
  await assert.rejects(scope.execFile('no-interpreter', ['a b'], { env }), { code: 3, stdout: 'a b\n' })
})

suite('without prlimit(1)', () => {
  /** Starts a guard whose PATH has these programs only. */
  async function startWithout(
    way: StartWay,
    t: TestContext,
    limits: Rlimits,
    programs: string[]
  ): Promise<Guarded> {
    const path = mkdtempSync(join(folder, 'bin-'))
    for (const program of [...programs, 'mkfifo']) {
      const paths = (process.env.PATH ?? '').split(':').map((bin) => join(bin, program))
      const found = paths.find((path) => existsSync(path))
      if (found !== undefined) symlinkSync(found, join(path, program))
    }
    const before = process.env.PATH
    process.env.PATH = path
    t.after(() => {
      process.env.PATH = before
    })
    return startBy(way, t, limits)
  }

  for (const name of ['keeper', 'direct'] as const) {
    const way = startWays[name]

    test(`a shell sets the limits (${name})`, async (t) => {
      const { guard } = await startWithout(way, t, rlimits, ['sh', 'cat', 'bash'])
      const scope = guard.open()
      assert.deepEqual(limitsIn((await saidBy(scope, showLimits)).join('\n')), wanted)
      await assert.rejects(scope.execFile('no-such-program'), {
        code: 'ENOENT',
        message: 'spawn no-such-program ENOENT'
      })
    })

    test(`a limit that the shell does not know is named, and nothing is started (${name})`, async (t) => {
      if (spawnSync('/bin/sh', ['-c', 'ulimit -q']).status === 0) return t.skip('/bin/sh knows all limits')
      const { guard } = await startWithout(way, t, { msgqueue: 0 }, ['sh', 'cat'])
      const message =
        'spawn cat ENOTSUP: limits.rlimits.msgqueue cannot be set: there is no prlimit(1), and /bin/sh does not know this limit'
      await assert.rejects(async () => guard.open().execFile('cat'), { code: 'ENOTSUP', message })
    })

    test(`without bash either, another argv[0] is refused (${name})`, async (t) => {
      const { guard } = await startWithout(way, t, { core: 0 }, ['sh', 'cat'])
      const message =
        'spawn cat ENOTSUP: with limits.rlimits, the option argv0 needs bash, which was not found'
      await assert.rejects(async () => guard.open().execFile('cat', [], { argv0: 'dog' }), {
        code: 'ENOTSUP',
        message
      })
    })
  }

  test('each limit that the shell knows is set in the unit of its option', async (t) => {
    const { guard } = await startWithout(startWays.keeper, t, {}, ['sh', 'cat'])
    const unknown: string[] = []
    for (const [name, [value, label]] of Object.entries(oneByOne)) {
      if (ignoredByEmulator.includes(name)) continue
      const scope = guard.open({ limits: { rlimits: { [name]: value } } })
      const { stdout } = await scope.execFile('cat', ['/proc/self/limits']).catch(({ code, message }) => {
        assert.equal(code, 'ENOTSUP', message)
        unknown.push(name)
        return { stdout: undefined }
      })
      await scope.close()
      if (stdout !== undefined)
        assert.match(stdout, new RegExp(`^Max ${label} +${value} +${value} `, 'm'), name)
    }
    // What every shell knows.
    assert.deepEqual(
      unknown.filter((name) => name in labels),
      []
    )
  })

  test('a shell that could not be asked for lack of descriptors is asked again', {
    skip: needsPrlimit
  }, (t) => {
    const call = { file: 'cat', argv0: 'cat', cwd: '/', env: { PATH: process.env.PATH ?? '' } }
    const limits = { rlimits: { memlock: 5_120 }, noNewPrivileges: false }
    const { PATH } = process.env
    t.after(() => Object.assign(process.env, { PATH }))
    limitOwnDescriptors(t)
    process.env.PATH = '/no/such/folder'
    const release = takeAllDescriptors()
    try {
      assert.throws(() => platform.limiterOf?.(call, limits), { code: 'EMFILE', message: 'spawn cat EMFILE' })
    } finally {
      release()
    }
    const line = platform.limiterOf?.(call, limits).before.slice(0, 2)
    assert.deepEqual(line, ['-c', 'ulimit -l 5 && exec "$0" "$@"'])
  })
})

function ascending(one: number, other: number): number {
  return one - other
}
