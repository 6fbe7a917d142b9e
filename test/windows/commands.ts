/** Commands on Windows: what they are given, what becomes of their streams, and how they end. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { createGuard, type Guard, type GuardOptions, type Policy, type Scope } from 'fastify-subprocess-guard'
import { keeperWithoutKoffi } from './keeper-without-koffi.js'
import { test } from './run-tests.js'
import { members } from './tree-main.js'
import { Witness } from './witness.js'

const node = process.execPath
const tree = fileURLToPath(new URL('tree-main.js', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'windows-commands-'))
const quiet = { info() {}, warn() {}, error() {} }
const megabyte = 1024 * 1024

const levels: readonly (readonly [level: string, options: GuardOptions])[] = [
  ['job', {}],
  ['tree', { keeperPath: keeperWithoutKoffi }]
]

let guard: Guard | undefined

for (const [level, options] of levels) {
  const warnings: string[] = []
  const logger = { ...quiet, warn: (_: object, message: string) => void warnings.push(message) }
  /** All guards of a process share a keeper, so there is one guard at a time. */
  const start = async (): Promise<Guard> => {
    if (guard?.containment !== level) {
      await guard?.close()
      guard = await createGuard({ timeout: 60_000, grace: 500, logger, ...options })
    }
    return guard
  }

  /** Runs a test with a scope of the guard of this level. */
  const commandTest = (name: string, run: (scope: Scope) => Promise<void>): void =>
    test(`${level}: ${name}`, async () => {
      const scope = (await start()).open()
      try {
        await run(scope)
      } finally {
        await scope.close()
      }
    })

  test(`${level}: the guard starts and tells its level`, async () => {
    assert.equal((await start()).containment, level)
    assert.equal(warnings.length, level === 'job' ? 0 : 1)
  })

  commandTest('no output is lost, and none comes after the end', async (scope) => {
    const program = `process.stdout.write('o'.repeat(${megabyte})); process.stderr.write('e'.repeat(${megabyte})); process.exitCode = 7`
    const child = scope.spawn(node, ['-e', program])
    const closed = once(child, 'close')
    const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr)])
    assert.deepEqual([output.length, errors.length], [megabyte, megabyte])
    assert.deepEqual(await closed, [7, null])
  })

  commandTest('input is read to its end, as fast as the command reads it', async (scope) => {
    const program = `process.stdin.pipe(process.stdout)`
    const child = scope.spawn(node, ['-e', program])
    const output = text(child.stdout)
    // More than all buffers hold: it has to wait for the command to read.
    const isTaken = child.stdin.write('i'.repeat(4 * megabyte))
    child.stdin.end('.')
    assert.equal(isTaken, false)
    assert.equal((await output).length, 4 * megabyte + 1)
  })

  commandTest('a stream that is destroyed before the start has ended for the command', async (scope) => {
    const program = `process.stdin.resume().on('end', () => process.exit(3))`
    const child = scope.spawn(node, ['-e', program])
    child.stdin.destroy()
    child.stdout.destroy()
    assert.deepEqual(await once(child, 'exit'), [3, null])
  })

  commandTest('arguments arrive as they were given', async (scope) => {
    const args = ['', 'a b', 'c"d', 'e\\', '\\\\"f\\\\', '%PATH%', 'g\th', 'ü', '&|<>^']
    const program = 'console.log(JSON.stringify(process.argv.slice(1)))'
    const { stdout } = await scope.execFile(node, ['-e', program, '--', ...args])
    assert.deepEqual(JSON.parse(stdout), args)
  })

  commandTest('names of variables have no case', async (scope) => {
    const env = { ...process.env, Test_Name: 'mine', TEMP: undefined, temp: folder }
    const program = 'console.log(JSON.stringify([process.env.TEST_NAME, process.env.TEMP]))'
    const { stdout } = await scope.execFile(node, ['-e', program], { env })
    assert.deepEqual(JSON.parse(stdout), ['mine', folder])
  })

  commandTest('a shell runs a line and a batch file, which is refused without one', async (scope) => {
    const batch = join(folder, 'says.cmd')
    writeFileSync(batch, '@echo batch %1\r\n@exit /b 5\r\n')
    const line = await scope.exec('echo "a  b" & exit 3').catch((error) => error)
    assert.deepEqual([line.code, line.stdout.trim()], [3, '"a  b"'])
    const run = await scope.exec(`"${batch}" x`).catch((error) => error)
    assert.deepEqual([run.code, run.stdout.trim()], [5, 'batch x'])
    const refused = await scope.execFile(batch).catch((error) => error)
    assert.equal(refused.code, 'EINVAL')
    const missing = await scope.execFile('no-such-program').catch((error) => error)
    assert.equal(missing.code, 'ENOENT')
    const verbatim = { windowsVerbatimArguments: true }
    const { stdout } = await scope.execFile('cmd.exe', ['/d', '/s', '/c', '"echo 1  2"'], verbatim)
    assert.equal(stdout.trim(), '1  2')
  })

  commandTest('kill() ends the command, and refuses what Windows does not have', async (scope) => {
    const child = scope.spawn(node, ['-e', 'setInterval(() => {}, 1000)'])
    await once(child, 'spawn')
    assert.throws(() => child.kill('SIGHUP'), { code: 'ENOSYS' })
    const exited = once(child, 'exit')
    assert.equal(child.kill(), true)
    assert.deepEqual(await exited, [null, 'SIGTERM'])
    assert.equal(child.kill(), false)
  })

  commandTest('twenty commands start at once', async (scope) => {
    const runs = Array.from({ length: 20 }, (_, index) => scope.exec(`echo ${index}`))
    const outputs = await Promise.all(runs)
    assert.deepEqual(
      outputs.map(({ stdout }) => Number(stdout)),
      [...outputs.keys()]
    )
  })

  commandTest('its directory for temporary files goes with the scope', async (scope) => {
    const { stdout } = await scope.execFile(node, ['-e', 'console.log(process.env.TEMP)'], {
      privateTmp: true
    })
    const path = stdout.trim()
    assert.ok(existsSync(path))
    await scope.close()
    assert.equal(existsSync(path), false)
  })

  commandTest('a command of its own group of streams: nothing, and those of the worker', async (scope) => {
    const child = scope.spawn(node, ['-e', 'process.exit(2)'], { stdio: ['ignore', 'inherit', 'ignore'] })
    assert.equal(child.stdin, null)
    assert.deepEqual(await once(child, 'close'), [2, null])
  })

  commandTest('the timeout of a command ends it', async (scope) => {
    const child = scope.spawn(node, ['-e', 'setInterval(() => {}, 1000)'], { timeout: 500, stdio: 'ignore' })
    assert.deepEqual(await once(child, 'exit'), [null, 'SIGKILL'])
    assert.equal(scope.reason, undefined)
  })

  /** Runs a test with a scope that has a policy. */
  const policyTest = (name: string, policy: Policy, run: (scope: Scope) => Promise<void>): void =>
    commandTest(`a policy ${name}`, async () => {
      const scope = (await start()).open({ policy })
      try {
        await run(scope)
      } finally {
        await scope.close()
      }
    })
  const forbidden = { code: 'ERR_SUBPROCESS_FORBIDDEN' }
  const script = ['-p', '1']

  policyTest(
    'allows a listed path, in any case and without its extension',
    { commands: [node] },
    async (scope) => {
      for (const command of [node, node.toUpperCase(), node.replace(/\.exe$/i, '')]) {
        assert.equal((await scope.execFile(command, script)).stdout.trim(), '1')
      }
      assert.throws(() => scope.spawn('cmd.exe', ['/c', 'echo 1']), forbidden)
      assert.throws(() => scope.exec('echo 1'), forbidden)
      assert.throws(() => scope.spawn(node, script, { argv0: 'other' }), forbidden)
    }
  )

  policyTest(
    'allows a listed name, and no other program of that name',
    { commands: ['cmd'] },
    async (scope) => {
      assert.equal((await scope.execFile('cmd.exe', ['/c', 'echo 1'])).stdout.trim(), '1')
      assert.equal((await scope.exec('echo 1')).stdout.trim(), '1')
      const copy = join(folder, 'cmd.exe')
      writeFileSync(copy, '')
      assert.throws(() => scope.spawn('cmd', [], { env: { Path: folder } }), forbidden)
      assert.throws(() => scope.spawn('cmd', [], { cwd: folder }), forbidden)
    }
  )

  policyTest('without a shell refuses cmd.exe by any name', { shell: false }, async (scope) => {
    for (const command of ['cmd', 'CMD.EXE', join(process.env.SystemRoot ?? '', 'System32', 'cmd')]) {
      assert.throws(() => scope.spawn(command, ['/c', 'echo 1']), forbidden)
    }
    assert.throws(() => scope.exec('echo 1'), forbidden)
    assert.equal((await scope.execFile(node, script)).stdout.trim(), '1')
  })

  policyTest('of variables has no case', { env: ['path', 'TEST_name'] }, async (scope) => {
    const program = 'console.log(JSON.stringify([process.env.TEST_NAME, process.env.NODE_OPTIONS ?? null]))'
    const env = { ...process.env, Test_Name: 'mine' }
    assert.deepEqual(JSON.parse((await scope.execFile(node, ['-e', program], { env })).stdout), [
      'mine',
      null
    ])
    assert.throws(() => scope.spawn(node, script, { env: { NODE_OPTIONS: '--trace-exit' } }), forbidden)
  })

  if (level === 'tree') {
    commandTest('a command cannot be released', async (scope) => {
      const child = scope.spawn(node, ['-e', 'setInterval(() => {}, 1000)'])
      await once(child, 'spawn')
      assert.throws(() => scope.release(child), /needs the optional dependency koffi/)
    })
  } else {
    commandTest('terminate() ends one command with its tree, and no other', async (scope) => {
      const witness = await Witness.open()
      const startTree = (name: string) =>
        scope.spawn(node, [tree, name], { stdio: 'ignore', env: witness.env })
      const [one] = [startTree('a'), startTree('b')]
      for (const name of ['a', 'b']) for (const member of members) await witness.comes(name + member)
      assert.equal((await scope.list()).length, 2 * members.length)
      const { processes } = await one.terminate()
      assert.equal(processes.length, members.length)
      for (const member of members) await witness.goes(`a${member}`)
      assert.ok(members.every((member) => witness.isAlive(`b${member}`)))
      const { survivors } = await scope.close()
      assert.deepEqual(survivors, [])
      for (const member of members) await witness.goes(`b${member}`)
      witness.close()
    })

    commandTest('what a command leaves behind when it exits ends with the scope', async (scope) => {
      const witness = await Witness.open()
      const program = `require('node:child_process').spawn(process.execPath, ${JSON.stringify([tree, 'a', '2'])}, { stdio: 'ignore', detached: true }).unref()`
      await scope.execFile(node, ['-e', program], { env: witness.env })
      await witness.comes('agrandchild')
      await scope.close()
      await witness.goes('agrandchild')
      witness.close()
    })
  }

  test(`${level}: the guard closes with its keeper`, async () => {
    const { keeper } = await start()
    await guard?.close()
    guard = undefined
    assert.throws(() => process.kill(keeper, 0), { code: 'ESRCH' })
  })
}
