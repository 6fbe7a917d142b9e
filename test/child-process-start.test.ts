/** What a command finds when it starts, which Node leaves to the system: by Node itself, by keeper and directly. */

import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, type SpawnOptions } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, test } from 'node:test'
import { closed, forEachLauncher, type SpawnMethods } from './harness/launchers.js'

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'child-process-start-test-')))
const [first, second] = [join(folder, 'first'), join(folder, 'second')]
after(() => rmSync(folder, { recursive: true }))

/** Makes a file that may be executed. */
function program(path: string, content: string, mode = 0o755): void {
  writeFileSync(path, content)
  chmodSync(path, mode)
}

mkdirSync(first)
mkdirSync(second)
program(join(first, 'tells'), '#!/bin/sh\necho first')
program(join(second, 'tells'), '#!/bin/sh\necho second')
program(join(first, 'denied'), '#!/bin/sh\necho first', 0o644)
program(join(second, 'denied'), '#!/bin/sh\necho second')
program(join(first, 'denied-everywhere'), '#!/bin/sh\n', 0o644)
program(join(first, 'no-interpreter'), 'echo "no interpreter, $1"')
program(join(first, 'lost-interpreter'), '#!/no/such/interpreter\n')
program(join(second, 'lost-interpreter'), '#!/bin/sh\necho second')
mkdirSync(join(first, 'folder'))
// By the text alone, `link/..` would be this folder's parent.
mkdirSync(join(first, 'second'))
symlinkSync(join(first, 'folder'), join(folder, 'link'))

const path = [join(folder, 'missing'), first, second, '/usr/bin', '/bin'].join(':')

forEachLauncher((launcher) => {
  const outcomes: [law: string, file: string, args: string[], options: SpawnOptions, outcome: string][] = [
    ['is found in the first folder of its own PATH', 'tells', [], { env: { PATH: path } }, 'first\n'],
    ['that may not be executed is passed over', 'denied', [], { env: { PATH: path } }, 'second\n'],
    ['that nobody may execute is denied', 'denied-everywhere', [], { env: { PATH: path } }, 'EACCES'],
    ['that is a folder is denied', 'folder', [], { env: { PATH: path } }, 'EACCES'],
    ['of a missing interpreter is passed over', 'lost-interpreter', [], { env: { PATH: path } }, 'second\n'],
    ['that no folder has is not found', 'no-such-command', [], { env: { PATH: path } }, 'ENOENT'],
    [
      'is not looked for in what is no folder',
      'tells',
      [],
      { env: { PATH: `${join(first, 'tells')}:${first}` } },
      'first\n'
    ],
    ['without PATH is looked for in /bin and /usr/bin', 'echo', ['said'], { env: {} }, 'said\n'],
    [
      'with an empty PATH is looked for in its folder',
      'tells',
      [],
      { cwd: second, env: { PATH: '' } },
      'second\n'
    ],
    [
      'is found by a relative PATH from its folder',
      'tells',
      [],
      { cwd: folder, env: { PATH: 'second' } },
      'second\n'
    ],
    ['is found by a relative path from its folder', './tells', [], { cwd: second, env: {} }, 'second\n'],
    [
      'that names no interpreter is a script of the shell',
      'no-interpreter',
      ['said'],
      { env: { PATH: path } },
      'no interpreter, said\n'
    ],
    ['by its path, too', join(first, 'no-interpreter'), ['said'], {}, 'no interpreter, said\n']
  ]
  for (const [law, file, args, options, outcome] of outcomes) {
    test(`a program ${law}`, async () => {
      assert.equal(await outcomeOf(launcher.spawn(file, args, options)), outcome)
    })
  }

  for (const [law, cwd, found] of [
    ['that is relative is one of the worker’s', 'second', second],
    ['without a name is the worker’s own', '', folder],
    ['behind a symbolic link is where the link leads', 'link/../second', join(first, 'second')]
  ] as const) {
    test(`a folder ${law}`, async () => {
      const before = process.cwd()
      process.chdir(folder)
      try {
        assert.equal(await outcomeOf(launcher.spawn('pwd', ['-P'], { cwd })), `${found}\n`)
      } finally {
        process.chdir(before)
      }
    })
  }

  test('no signal is ignored or blocked, whatever the worker does with it', async () => {
    // Node ignores SIGPIPE, and the listeners of this process are its own.
    const status = await outcomeOf(launcher.spawn('grep', ['^Sig[BI]', '/proc/self/status']))
    for (const line of status.trim().split('\n')) assert.match(line, /:\t0+$/)
  })

  test('a standard stream is one that blocks', async () => {
    // Flags in octal: O_NONBLOCK is 04000.
    for (const descriptor of [0, 1, 2]) {
      const flags = Number.parseInt(await flagsOf(launcher, descriptor), 8)
      assert.equal(flags & constantOfNonBlocking, 0)
    }
  })

  test('no descriptor is open but those that this process was started with', async () => {
    const given = execFileSync('ls', ['/proc/self/fd'], { encoding: 'utf8', stdio: 'pipe' })
    assert.equal(await outcomeOf(launcher.spawn('ls', ['/proc/self/fd'])), given)
  })

  test('it leads a session only where the guard started it', async () => {
    const fields = (await outcomeOf(launcher.spawn('cat', ['/proc/self/stat']))).split(' ')
    const [pid, session] = [fields[0], fields[5]]
    assert.equal(pid === session, launcher.name !== 'node')
  })

  test('a signal without a name in Node is no success', async () => {
    const number = 40
    assert.ok(!Object.values(constants.signals).includes(number as never))
    const child = launcher.spawn('sh', ['-c', `kill -${number} $$; echo lives`])
    const [[code, signal]] = await Promise.all([once(child, 'exit'), closed(child)])
    const isSuccess = launcher.does('end by a signal without a name in Node') === 'status 0'
    assert.deepEqual([code, signal], [isSuccess ? 0 : 128 + number, null])
  })

  test('of hundreds that run and end at once each has its own status', async () => {
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

const constantOfNonBlocking = 0o4000

/** What it writes, or the code of the error that it could not be started for. */
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
