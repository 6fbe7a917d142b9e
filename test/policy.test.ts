/** The option `policy`: what it forbids is refused at the call, and what it has checked is what runs. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, suite, type TestContext, test } from 'node:test'
import {
  createGuard,
  type Guard,
  type Policy,
  type Scope,
  type SpawnOptions,
  type Subprocess,
  SubprocessError
} from 'fastify-subprocess-guard'
import { ask } from './harness/client.js'
import { serve } from './harness/server.js'
import { shareKeeper } from './harness/shared-keeper.js'

shareKeeper()

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'policy-')))
const tools = join(folder, 'tools')
const evil = join(folder, 'evil')
/** A program that was run has written here. */
const traces = join(folder, 'traces')
const originalPath = process.env.PATH as string
const quiet = { info() {}, warn() {}, error() {} }

/** A multi-call program: it does what its name says, like busybox. */
const multiCall = `#!/bin/sh\necho "\${0##*/}" >> ${traces}\necho "\${0##*/} $*"\n`

before(() => {
  mkdirSync(tools)
  mkdirSync(evil)
  symlinkSync('tools', join(folder, 'alias'))
  for (const path of [join(tools, 'multi'), join(tools, 'other'), join(evil, 'list')]) {
    writeFileSync(path, multiCall, { mode: 0o755 })
  }
  writeFileSync(join(tools, 'locked'), multiCall, { mode: 0o644 })
  const links = {
    list: 'multi',
    sh: 'multi',
    dir: 'list',
    'far-list': join(folder, 'alias/list'),
    'my-node': process.execPath,
    harmless: '/bin/sh'
  }
  for (const [name, target] of Object.entries(links)) symlinkSync(target, join(tools, name))
  // Only directories that every user may search: with another one, a missing command is EACCES (execvp(3)).
  process.env.PATH = `${tools}:/usr/local/bin:/usr/bin:/bin`
  process.env.POLICY_PLAIN = 'plain'
  process.env.POLICY_SECRET = 'secret'
})
after(() => {
  process.env.PATH = originalPath
  delete process.env.POLICY_PLAIN
  delete process.env.POLICY_SECRET
  rmSync(folder, { recursive: true })
})

/** The output of a command that is run to its end. Throws or rejects with its error. */
type Run = (scope: Scope, program: string, options: SpawnOptions) => Promise<string>

/** All ways to start a program. For `exec` it is the shell, for `fork` what runs the module. */
const ways: Record<string, Run> = {
  spawn: (scope, program, options) => outputOf(scope.spawn(program, ['a', 'b'], options)),
  execFile: (scope, program, options) =>
    scope.execFile(program, ['a', 'b'], options as object).then(({ stdout }) => stdout),
  stream: (scope, program, options) => text(scope.stream(program, ['a', 'b'], options as object)),
  'spawn with a shell': (scope, program, options) =>
    outputOf(scope.spawn('a b', { ...options, shell: program })),
  exec: (scope, program, options) =>
    scope.exec('a b', { ...(options as object), shell: program }).then(({ stdout }) => stdout),
  fork: (scope, program, options) =>
    outputOf(
      scope.fork('a', ['b'], { ...(options as object), execPath: program, execArgv: [], silent: true })
    )
}
const shellWays = ['spawn with a shell', 'exec']
const argumentsOf = (way: string): string => (shellWays.includes(way) ? '-c a b' : 'a b')

function outputOf(child: Subprocess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    const output = text(child.stdout as never)
    output.catch(() => {})
    child.once('close', () => output.then(resolve, reject))
  })
}

/** What came of a call: the output of a command, or the code of the error. */
async function outcomeOf(run: () => Promise<string>): Promise<string> {
  try {
    return (await run()).trim()
  } catch (error) {
    const { cause, code } = error as { cause?: { code: string }; code: string }
    return cause?.code ?? code
  }
}

/** The error that a call throws, and does not only reject with. */
function thrownBy(call: () => unknown): SubprocessError {
  let result: unknown
  try {
    result = call()
  } catch (error) {
    return error as SubprocessError
  }
  Promise.resolve(result).catch(() => {})
  return assert.fail('it did not throw')
}

const forbidden = 'ERR_SUBPROCESS_FORBIDDEN'

/** Title, list, program, and its name if it runs, or the code of the error. */
const commandCases: [title: string, commands: string[], program: string, expected: string, SpawnOptions?][] =
  [
    ['runs a command whose name is on the list', ['list'], 'list', 'list'],
    ['refuses a command whose name is not on the list', ['list'], 'other', forbidden],
    ['refuses every command if the list is empty', [], 'list', forbidden],
    ['runs the path of a listed name', ['list'], join(tools, 'list'), 'list'],
    ['runs a name whose path is on the list', [join(tools, 'list')], 'list', 'list'],
    [
      'runs a listed path through a link to its directory',
      [join(tools, 'list')],
      join(folder, 'alias/list'),
      'list'
    ],
    ['runs a path whose directory is listed by a link', [join(folder, 'alias/list')], 'list', 'list'],
    ['runs a link to a listed link', ['list'], 'dir', 'dir'],
    ['runs a link to a listed link in another directory', ['list'], 'far-list', 'far-list'],
    ['refuses the target of a listed link', ['list'], 'multi', forbidden],
    ['refuses another link to the target of a listed link', ['list'], 'sh', forbidden],
    ['runs every link to a listed file', [join(tools, 'multi')], 'dir', 'dir'],
    ['runs a relative path to a listed command', ['list'], './list', 'list', { cwd: tools }],
    ['refuses a relative path that leads elsewhere', ['list'], './list', forbidden, { cwd: evil }],
    [
      'refuses another program of a listed name that is first in options.env.PATH',
      ['list'],
      'list',
      forbidden,
      { env: { PATH: `${evil}:${tools}` } }
    ],
    [
      'finds a listed command in options.env.PATH',
      [join(evil, 'list')],
      'list',
      'list',
      { env: { PATH: evil } }
    ],
    ['refuses an argv0 that differs from the command', ['list'], 'list', forbidden, { argv0: 'sh' }],
    ['accepts an argv0 that does not', ['list'], 'list', 'list', { argv0: 'list' }],
    ['fails with ENOENT for a listed name that does not exist', ['missing'], 'missing', 'ENOENT'],
    [
      'fails with ENOENT for a listed path that does not exist',
      [join(folder, 'no/such')],
      join(folder, 'no/such'),
      'ENOENT'
    ],
    ['refuses a name that does not exist and is not on the list', ['list'], 'missing', forbidden],
    ['fails with EACCES for a listed file that cannot be executed', ['locked'], 'locked', 'EACCES']
  ]

for (const launch of ['keeper', 'direct'] as const) {
  suite(`policy, launch: ${launch}`, () => {
    let guard: Guard
    before(async () => {
      guard = await createGuard({ launch, logger: quiet })
    })
    after(() => guard.close())

    function openScope(t: TestContext, policy?: Policy): Scope {
      const scope = guard.open({ timeout: false, ...(policy === undefined ? {} : { policy }) })
      t.after(() => scope.close())
      return scope
    }

    for (const [way, run] of Object.entries(ways)) {
      // It is always a direct launch.
      if (way === 'fork' && launch === 'keeper') continue
      suite(`commands, ${way}`, () => {
        for (const [title, commands, program, expected, options = {}] of commandCases) {
          test(title, async (t) => {
            const scope = openScope(t, { commands })
            rmSync(traces, { force: true })
            if (expected === forbidden) {
              const error = thrownBy(() => run(scope, program, options))
              assert.equal(error.code, forbidden)
              assert.deepEqual(await scope.list(), [])
              assert.ok(!existsSync(traces), 'a program was run')
            } else {
              const succeeded = /^[a-z-]+$/.test(expected)
              const outcome = await outcomeOf(() => run(scope, program, options))
              assert.equal(outcome, succeeded ? `${expected} ${argumentsOf(way)}` : expected)
            }
          })
        }
      })
    }

    test('the command and the handle have the names that they have without a policy', async (t) => {
      const namesIn = async (scope: Scope): Promise<unknown> => {
        const child = scope.spawn('my-node', ['-p', 'process.argv0'])
        const { spawnfile, spawnargs } = child
        const line = scope.spawn('echo', { shell: 'sh' })
        const output = await Promise.all([outputOf(child), outputOf(line)])
        return { output, spawnfile, spawnargs, line: [line.spawnfile, line.spawnargs] }
      }
      const permitted = await namesIn(openScope(t, { commands: ['my-node', 'sh'] }))
      assert.deepEqual(permitted, await namesIn(openScope(t)))
    })

    for (const [program, code] of [
      ['missing', 'ENOENT'],
      ['locked', 'EACCES'],
      [join(folder, 'no/such'), 'ENOENT']
    ] as const) {
      test(`the error ${code} of ${program.replace(folder, '…')} is the same as without a policy`, async (t) => {
        const errorIn = async (scope: Scope, options: SpawnOptions): Promise<unknown> => {
          const child = scope.spawn(program, ['argument'], options)
          const [error] = await once(child, 'error')
          return { message: error.message, ...error }
        }
        // With a user, the keeper starts it in another way.
        for (const options of [{}, { uid: process.getuid?.() }]) {
          const permitted = await errorIn(openScope(t, { commands: [program] }), options)
          assert.deepEqual(permitted, await errorIn(openScope(t), options))
        }
      })
    }

    suite('shell: false', () => {
      const refused: [string, (scope: Scope) => unknown][] = [
        ['exec()', (scope) => scope.exec('echo a')],
        ['the option shell of spawn', (scope) => scope.spawn('echo a', { shell: true })],
        ['the path of a shell', (scope) => scope.execFile('echo a', { shell: '/bin/bash' })],
        ['the option shell of a stream', (scope) => scope.stream('echo a', { shell: true })],
        ['a shell by its name', (scope) => scope.spawn('bash', ['-c', 'echo a'])],
        ['a shell by its path', (scope) => scope.stream('/bin/sh', ['-c', 'echo a'])],
        ['a link to a shell', (scope) => scope.execFile('harmless', ['-c', 'echo a'])],
        ['a link of a multi-call program that has the name of a shell', (scope) => scope.spawn('sh', [])],
        ['a shell that runs the module of fork()', (scope) => scope.fork('a', { execPath: '/bin/sh' })]
      ]
      for (const [what, call] of refused) {
        test(`refuses ${what}`, async (t) => {
          const scope = openScope(t, { shell: false })
          const error = thrownBy(() => call(scope))
          assert.equal(error.code, forbidden)
          assert.match(error.message, /policy\.shell is false/)
          assert.deepEqual(await scope.list(), [])
        })
      }

      test('starts other programs, and fork() as well', async (t) => {
        const scope = openScope(t, { shell: false })
        assert.equal((await scope.execFile('list', ['a'])).stdout, 'list a\n')
        assert.equal((await scope.execFile('echo', ['a'], { shell: false })).stdout, 'a\n')
        assert.equal(await ways.fork?.(scope, 'list', {}), 'list a b\n')
      })

      test('starts a shell that commands lists, by that name and by a link to it', async (t) => {
        const scope = openScope(t, { shell: false, commands: ['/bin/sh'] })
        assert.equal((await scope.execFile('/bin/sh', ['-c', 'echo a'])).stdout, 'a\n')
        assert.equal((await scope.execFile('harmless', ['-c', 'echo a'])).stdout, 'a\n')
        assert.equal(thrownBy(() => scope.exec('echo a')).code, forbidden)
      })

      test('starts a listed link to a shell', async (t) => {
        const scope = openScope(t, { shell: false, commands: ['harmless'] })
        assert.equal((await scope.execFile('harmless', ['-c', 'echo a'])).stdout, 'a\n')
        assert.equal(thrownBy(() => scope.spawn('/bin/sh', [])).code, forbidden)
      })

      test('refuses the shell of a listed multi-call program', (t) => {
        const scope = openScope(t, { shell: false, commands: [join(tools, 'multi')] })
        const error = thrownBy(() => scope.spawn('sh', []))
        assert.match(error.message, /the command "sh" \(.*\/sh\) is a shell, and policy\.shell is false/)
      })
    })

    suite('env', () => {
      const own = ['SUBPROCESS_GUARD_COMMAND', 'SUBPROCESS_GUARD_MARK']
      // Shells set these themselves.
      const byShell = ['PWD', 'OLDPWD', 'SHLVL', '_']
      const namesIn = (output: string): string[] =>
        (output.match(/^\w+(?==)/gm) ?? []).filter((name) => !byShell.includes(name)).sort()
      const env: Record<string, (scope: Scope, options?: SpawnOptions) => Promise<string>> = {
        spawn: (scope, options) => outputOf(scope.spawn('env', [], options)),
        execFile: (scope, options) =>
          scope.execFile('env', [], options as object).then(({ stdout }) => stdout),
        exec: (scope, options) => scope.exec('env', options as object).then(({ stdout }) => stdout),
        stream: (scope, options) => text(scope.stream('env', [], options as object)),
        fork: (scope, options) =>
          outputOf(scope.fork('module', { ...(options as object), execPath: 'env-of-fork', silent: true }))
      }
      before(() => {
        // `env` itself would run the module.
        writeFileSync(join(tools, 'env-of-fork'), '#!/bin/sh\nexec env\n', { mode: 0o755 })
      })

      for (const [way, variables] of Object.entries(env)) {
        const channel = way === 'fork' ? ['NODE_CHANNEL_FD', 'NODE_CHANNEL_SERIALIZATION_MODE'] : []

        test(`${way} gets the listed variables of the worker, and those of the guard`, async (t) => {
          const scope = openScope(t, { env: ['PATH', 'POLICY_PLAIN', 'POLICY_UNSET'] })
          const expected = [...channel, 'PATH', 'POLICY_PLAIN', ...own]
          assert.deepEqual(namesIn(await variables(scope)), expected)
        })

        test(`${way} gets no variable of a copy of the worker's environment that is not listed`, async (t) => {
          const scope = openScope(t, { env: ['PATH', 'POLICY_OWN'] })
          const given = { ...process.env, POLICY_OWN: 'own' }
          const output = await variables(scope, { env: given })
          assert.deepEqual(namesIn(output), [...channel, 'PATH', 'POLICY_OWN', ...own])
          assert.match(output, /^POLICY_OWN=own$/m)
        })

        test(`${way} is refused with another variable, whose value is not in the error`, async (t) => {
          const scope = openScope(t, { env: ['PATH', 'LANG'] })
          const given = { ...process.env, POLICY_SECRET: 'hidden' }
          const error = thrownBy(() => variables(scope, { env: given }))
          assert.equal(
            error.message,
            'Forbidden by the policy: the variable POLICY_SECRET of options.env; policy.env allows PATH, LANG'
          )
          assert.deepEqual(await scope.list(), [])
        })
      }

      test('adds the variables of privateTmp', async (t) => {
        const scope = guard.open({ timeout: false, privateTmp: true, policy: { env: ['PATH'] } })
        t.after(() => scope.close())
        const { stdout } = await scope.execFile('env')
        assert.deepEqual(namesIn(stdout), ['PATH', ...own, 'TEMP', 'TMP', 'TMPDIR'])
      })

      test('finds no command by a PATH that is not listed', async (t) => {
        const scope = openScope(t, { env: [] })
        assert.equal(await outcomeOf(async () => outputOf(scope.spawn('list'))), 'ENOENT')
        assert.equal(
          thrownBy(() => openScope(t, { env: [], commands: ['list'] }).spawn('true')).code,
          forbidden
        )
      })

      test('leaves fork() its channel', async (t) => {
        const module = join(folder, 'answers.cjs')
        writeFileSync(module, 'process.send(Object.keys(process.env).sort()); process.disconnect()')
        const child = openScope(t, { env: ['POLICY_PLAIN'] }).fork(module, { execArgv: [] })
        const [names] = await once(child, 'message')
        assert.deepEqual(names, ['POLICY_PLAIN', ...own])
      })
    })

    suite('a refusal', () => {
      test('names the command and what is allowed, and no argument', (t) => {
        const scope = openScope(t, { commands: ['list', '/usr/bin/git'] })
        const error = thrownBy(() => scope.spawn('other', ['secret']))
        assert.ok(error instanceof SubprocessError)
        assert.deepEqual(
          [error.code, error.statusCode, error.status, error.expose],
          [forbidden, 500, 500, false]
        )
        assert.equal(
          error.message,
          `Forbidden by the policy: the command "other" (${join(tools, 'other')}); policy.commands allows list, /usr/bin/git`
        )
      })

      test('of exec() names the shell, and not its line', (t) => {
        const error = thrownBy(() => openScope(t, { commands: [] }).exec('secret'))
        assert.match(
          error.message,
          /the shell "\/bin\/sh" of exec\(\) or the option shell; policy\.commands allows none$/
        )
      })

      test('of fork() says that execPath has to be listed', (t) => {
        const error = thrownBy(() => openScope(t, { commands: ['list'] }).fork('module'))
        const shown = JSON.stringify(process.execPath)
        assert.ok(
          error.message.includes(`the command ${shown}, which fork() starts as its execPath`),
          error.message
        )
      })

      test('of argv0 names both', (t) => {
        const error = thrownBy(() => openScope(t, { commands: ['list'] }).spawn('list', [], { argv0: 'sh' }))
        assert.match(error.message, /argv0 "sh" in place of "list"; with policy\.commands it may not differ/)
      })
    })

    test('fork() runs if execPath is listed', async (t) => {
      const module = join(folder, 'greets.cjs')
      writeFileSync(module, "process.send('hello'); process.disconnect()")
      const child = openScope(t, { commands: [process.execPath] }).fork(module, { execArgv: [] })
      assert.deepEqual((await once(child, 'message'))[0], 'hello')
      assert.equal(child.spawnfile, process.execPath)
    })

    test('the path that was checked is the one that is started', async (t) => {
      const where = join(tools, 'where')
      writeFileSync(where, '#!/bin/sh\necho "$0"\n', { mode: 0o755 })
      const scope = openScope(t, { commands: ['where'] })
      const given: [string, SpawnOptions][] = [
        ['where', {}],
        ['./where', { cwd: join(folder, 'alias') }],
        [join(folder, 'alias/where'), {}]
      ]
      for (const [program, options] of given) {
        assert.equal(await outputOf(scope.spawn(program, [], options)), `${where}\n`)
      }
    })

    test('a listed name is found although the directory of the worker was removed', async (t) => {
      const scope = openScope(t, { commands: ['list'] })
      const before = process.cwd()
      const removed = mkdtempSync(join(folder, 'removed-'))
      process.chdir(removed)
      rmSync(removed, { recursive: true })
      try {
        assert.equal((await scope.execFile('list', ['a'])).stdout, 'list a\n')
      } finally {
        process.chdir(before)
      }
    })

    test('a mistake in a call is still a TypeError', (t) => {
      const scope = openScope(t, { commands: ['list'], shell: false, env: [] })
      for (const call of [
        () => scope.spawn(''),
        () => scope.spawn(5 as never),
        () => scope.spawn('list', [], { shell: 5 as never }),
        () => scope.spawn('list', [], { cwd: 5 as never }),
        () => scope.fork('module', { execPath: 5 as never })
      ])
        assert.throws(call, TypeError)
    })

    test('a process that other code has started is adopted whatever the policy', async (t) => {
      const scope = openScope(t, { commands: [], shell: false, env: [] })
      const child = scope.adopt(spawn('sleep', ['1000'], { stdio: 'ignore' }))
      assert.deepEqual(
        (await scope.list()).map(({ pid }) => pid),
        [child.pid]
      )
    })

    test('a job of run() has the policy of the guard with the keys that it sets itself', async () => {
      const limited = await createGuard({
        launch,
        logger: quiet,
        policy: { commands: ['list'], shell: false, env: ['PATH'] }
      })
      try {
        await limited.run({ policy: { commands: ['env'] } }, async (scope) => {
          assert.equal(thrownBy(() => scope.spawn('list')).code, forbidden)
          assert.match(thrownBy(() => scope.exec('env')).message, /policy\.shell is false/)
          assert.doesNotMatch((await scope.execFile('env')).stdout, /POLICY_/)
        })
        await limited.run({}, async (scope) => {
          assert.equal((await scope.execFile('list', ['a'])).stdout, 'list a\n')
          assert.equal(thrownBy(() => scope.spawn('env')).code, forbidden)
        })
      } finally {
        await limited.close()
      }
    })

    test('Fastify answers 500, and the server serves the next request', async (t) => {
      const policy = { commands: ['list', 'env'], shell: false }
      const served = await serve({ guard: { launch, policy } }, (app) => {
        app.get('/forbidden', async (request) => request.spawn('other').stdout)
        app.get('/list', async (request) => (await request.subprocesses.execFile('list', ['a'])).stdout)
        const config = { subprocessGuard: { policy: { commands: ['env'] } } }
        app.get(
          '/narrow',
          { config },
          async (request) => (await request.subprocesses.execFile('list')).stdout
        )
      })
      t.after(() => served.close())
      for (const path of ['/forbidden', '/narrow']) {
        const { status, body } = await ask(served.port, path).answer
        assert.equal(status, 500)
        assert.equal(JSON.parse(body).code, forbidden)
        assert.equal((await ask(served.port, '/list').answer).body, 'list a\n')
      }
    })
  })
}

suite('a wrong policy is refused', () => {
  const mistakes: [unknown, RegExp][] = [
    [null, /^policy is null: set it to an object such as \{ commands: \['ffmpeg'\]/],
    [false, /^policy is false: set it to an object/],
    [['ffmpeg'], /^policy is \["ffmpeg"\]: set it to an object/],
    [{ command: [] }, /^policy\.command is \[\]: no such option; the options are commands, shell, env/],
    [{ commands: 'ffmpeg' }, /^policy\.commands is "ffmpeg": set it to an array/],
    [{ commands: ['ffmpeg', ''] }, /^policy\.commands\[1\] is "": give the name of a program/],
    [{ commands: [5] }, /^policy\.commands\[0\] is 5: give the name of a program/],
    [{ commands: ['./ffmpeg'] }, /^policy\.commands\[0\] is "\.\/ffmpeg": .* or an absolute path/],
    [{ shell: 'no' }, /^policy\.shell is "no": set it to true or false/],
    [{ env: 'PATH' }, /^policy\.env is "PATH": set it to an array/],
    [{ env: [''] }, /^policy\.env\[0\] is "": give the name of a variable/],
    [{ env: ['PATH=/bin'] }, /^policy\.env\[0\] is "PATH=\/bin": give the name of a variable/]
  ]
  for (const [policy, message] of mistakes) {
    test(JSON.stringify(policy), async () => {
      const expected = { name: 'SubprocessOptionError', code: 'ERR_SUBPROCESS_OPTION', message }
      await assert.rejects(createGuard({ policy: policy as never }), expected)
    })
  }

  test('in a job, by its name there', async (t) => {
    const guard = await createGuard({ logger: quiet })
    t.after(() => guard.close())
    const policy = { commands: ['a/b'] }
    assert.throws(
      () => guard.open({ policy }),
      /^SubprocessOptionError: options\.policy\.commands\[0\] is "a\/b"/
    )
  })
})
