/**
 * What Node leaves to the system when a command starts and exits: program lookup, cwd, signals, descriptors,
 * status. Each test runs with Node itself, with the keeper, and with a direct launch.
 */

import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, type SpawnOptions, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, test } from 'node:test'
import { compiled } from './harness/compiled.js'
import { closed, forEachLauncher, type SpawnMethods } from './harness/launchers.js'

type CLibrary = typeof import('../lib/platform/linux/c-library.js')
const { usesMusl } = await compiled<CLibrary>('platform/linux/c-library')
const folder = realpathSync(mkdtempSync(join(tmpdir(), 'child-process-start-test-')))
const [first, second] = [join(folder, 'first'), join(folder, 'second')]
after(() => rmSync(folder, { recursive: true }))

/** Creates a file with a mode, by default an executable one. */
function createProgram(path: string, content: string, mode = 0o755): void {
  writeFileSync(path, content)
  chmodSync(path, mode)
}

mkdirSync(first)
mkdirSync(second)
createProgram(join(first, 'tells'), '#!/bin/sh\necho first')
createProgram(join(second, 'tells'), '#!/bin/sh\necho second')
createProgram(join(first, 'denied'), '#!/bin/sh\necho first', 0o644)
createProgram(join(second, 'denied'), '#!/bin/sh\necho second')
createProgram(join(first, 'denied-everywhere'), '#!/bin/sh\n', 0o644)
createProgram(join(first, 'no-interpreter'), 'echo "no interpreter, $1"')
createProgram(join(first, 'lost-interpreter'), '#!/no/such/interpreter\n')
createProgram(join(second, 'lost-interpreter'), '#!/bin/sh\necho second')
mkdirSync(join(first, 'folder'))
// Resolved as text, without following the link, `link/../second` would be `second` in the top directory.
mkdirSync(join(first, 'second'))
symlinkSync(join(first, 'folder'), join(folder, 'link'))

const path = [join(folder, 'missing'), first, second, '/usr/bin', '/bin'].join(':')

forEachLauncher((launcher) => {
  const outcomes: [what: string, file: string, args: string[], options: SpawnOptions, outcome: string][] = [
    ['is found in the first directory of its own PATH', 'tells', [], { env: { PATH: path } }, 'first\n'],
    ['without execute permission is skipped', 'denied', [], { env: { PATH: path } }, 'second\n'],
    [
      'that is nowhere executable fails with EACCES',
      'denied-everywhere',
      [],
      { env: { PATH: path } },
      'EACCES'
    ],
    ['that is a directory fails with EACCES', 'folder', [], { env: { PATH: path } }, 'EACCES'],
    ['with a missing interpreter is skipped', 'lost-interpreter', [], { env: { PATH: path } }, 'second\n'],
    ['that is in no directory is not found', 'no-such-command', [], { env: { PATH: path } }, 'ENOENT'],
    [
      'is found despite a PATH entry that is no directory',
      'tells',
      [],
      { env: { PATH: `${join(first, 'tells')}:${first}` } },
      'first\n'
    ],
    ['without PATH is searched for in /bin and /usr/bin', 'echo', ['said'], { env: {} }, 'said\n'],
    [
      'with an empty PATH is searched for in its cwd',
      'tells',
      [],
      { cwd: second, env: { PATH: '' } },
      'second\n'
    ],
    [
      'is found by a PATH entry relative to its cwd',
      'tells',
      [],
      { cwd: folder, env: { PATH: 'second' } },
      'second\n'
    ],
    ['is found by a path relative to its cwd', './tells', [], { cwd: second, env: {} }, 'second\n']
  ]
  for (const [what, file, args, options, outcome] of outcomes) {
    test(`a program ${what}`, async () => {
      assert.equal(await outcomeOf(launcher.spawn(file, args, options)), outcome)
    })
  }

  for (const [how, file] of [
    ['', 'no-interpreter'],
    [' when given as a path too', join(first, 'no-interpreter')]
  ] as const) {
    test(`a program without an interpreter line is run by the shell${how}`, async () => {
      const start = (): ChildProcess => launcher.spawn(file, ['said'], { env: { PATH: path } })
      // docs/child-process.md: only the keeper does it with every C library.
      if (usesMusl() && launcher.name !== 'keeper') {
        assert.throws(start, { errno: -constants.errno.ENOEXEC })
      } else {
        assert.equal(await outcomeOf(start()), 'no interpreter, said\n')
      }
    })
  }

  // Alpine's images have Node there, and musl searches it.
  const skip = !existsSync('/usr/local/bin/node') && 'there is no node in /usr/local/bin'
  test('a program without PATH is searched for in /usr/local/bin if Node does', { skip }, async () => {
    const args = ['--eval', 'console.log("found")']
    const { error, stdout } = spawnSync('node', args, { env: {}, encoding: 'utf8' })
    const outcome = (error as NodeJS.ErrnoException | undefined)?.code ?? stdout
    assert.equal(await outcomeOf(launcher.spawn('node', args, { env: {} })), outcome)
  })

  for (const [what, cwd, found] of [
    ['that is relative is resolved against that of the worker', 'second', second],
    ['that is empty is that of the worker', '', folder],
    ['is resolved through a symbolic link', 'link/../second', join(first, 'second')]
  ] as const) {
    test(`a cwd ${what}`, async () => {
      const before = process.cwd()
      process.chdir(folder)
      try {
        assert.equal(await outcomeOf(launcher.spawn('pwd', ['-P'], { cwd })), `${found}\n`)
      } finally {
        process.chdir(before)
      }
    })
  }

  test('no signal is ignored or blocked, whatever the worker does with signals', async () => {
    // Node ignores SIGPIPE, and an ignored signal stays ignored across execve(2) unless it is reset.
    const status = await outcomeOf(launcher.spawn('grep', ['^Sig[BI]', '/proc/self/status']))
    for (const line of status.trim().split('\n')) assert.match(line, /:\t0+$/)
  })

  test('the standard streams are in blocking mode', async () => {
    // /proc/PID/fdinfo prints the flags in octal.
    for (const descriptor of [0, 1, 2]) {
      const flags = Number.parseInt(await flagsOf(launcher, descriptor), 8)
      assert.equal(flags & O_NONBLOCK, 0)
    }
  })

  test('no descriptors are open except those that any child of this process inherits', async () => {
    const inherited = execFileSync('ls', ['/proc/self/fd'], { encoding: 'utf8', stdio: 'pipe' })
    assert.equal(await outcomeOf(launcher.spawn('ls', ['/proc/self/fd'])), inherited)
  })

  test('a command leads a session if the guard started it, and only then', async () => {
    const fields = (await outcomeOf(launcher.spawn('cat', ['/proc/self/stat']))).split(' ')
    const [pid, session] = [fields[0], fields[5]]
    assert.equal(pid === session, launcher.name !== 'node')
  })

  test('a signal that Node has no name for gives a status above 128 by keeper, and 0 otherwise', async () => {
    const number = 40
    assert.ok(!Object.values(constants.signals).includes(number as never))
    const child = launcher.spawn('sh', ['-c', `kill -${number} $$; echo lives`])
    const [[code, signal]] = await Promise.all([once(child, 'exit'), closed(child)])
    const isSuccess = launcher.does('end by a signal without a name in Node') === 'status 0'
    assert.deepEqual([code, signal], [isSuccess ? 0 : 128 + number, null])
  })

  test('each of hundreds of commands that run and exit at once has its own status', async () => {
    const children = Array.from({ length: 200 }, (_, number) =>
      launcher.spawn('sh', ['-c', `exit ${number}`], { stdio: 'ignore' })
    )
    const codes = await Promise.all(children.map(async (child) => (await once(child, 'exit'))[0]))
    assert.deepEqual(
      codes,
      children.map((_, number) => number)
    )
  })
})

const O_NONBLOCK = 0o4000

/** Resolves with its output, or with the code of the error if it could not be started. */
async function outcomeOf(child: ChildProcess): Promise<string> {
  let code: string | undefined
  child.once('error', (error: NodeJS.ErrnoException) => {
    code = error.code
  })
  const [output] = await Promise.all([text(child.stdout as NonNullable<typeof child.stdout>), closed(child)])
  return code ?? output
}

async function flagsOf(launcher: SpawnMethods, descriptor: number): Promise<string> {
  const info = await outcomeOf(launcher.spawn('sh', ['-c', `cat /proc/$$/fdinfo/${descriptor}`]))
  return /^flags:\s+(\d+)$/m.exec(info)?.[1] ?? 'none'
}
