/**
 * What the tests of Node's `child_process`, and of other projects, expect of a drop-in replacement (faults
 * 76, 80, 81 and 82 in docs/faults.md).
 */

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, realpathSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createGuard } from 'fastify-subprocess-guard'
import { closed, forEachLauncher } from './harness/launchers.js'

const nodeMajor = Number.parseInt(process.versions.node, 10)
const pathOf = (program: string): string => fileURLToPath(new URL(`./harness/${program}.js`, import.meta.url))

/** Runs a Node program until it exits, and resolves with its output and exit status. */
async function outcomeOf(...args: string[]): Promise<{ output: string; status: number | null }> {
  const program = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const [output] = await Promise.all([text(program.stdout), text(program.stderr), closed(program)])
  return { output, status: program.exitCode }
}

forEachLauncher((launcher) => {
  suite('a command starts in the current directory of the worker', () => {
    /** Resolves with the cwd of a command whose worker runs in a directory that `change` has changed. */
    async function cwdAfter(change: (folder: string) => void): Promise<string> {
      const before = process.cwd()
      const folder = realpathSync(mkdtempSync(join(tmpdir(), 'folder-')))
      process.chdir(folder)
      try {
        // Makes Node cache the path.
        process.cwd()
        change(folder)
        const child = launcher.spawn('sh', ['-c', 'readlink /proc/$$/cwd'])
        const [cwd] = await Promise.all([text(child.stdout as never), closed(child)])
        return cwd.replaceAll(folder, 'FOLDER')
      } finally {
        process.chdir(before)
        rmSync(folder, { recursive: true, force: true })
        rmSync(`${folder}-renamed`, { recursive: true, force: true })
      }
    }

    test('even if that was removed', async () => {
      assert.equal(await cwdAfter((folder) => rmSync(folder, { recursive: true })), 'FOLDER (deleted)\n')
    })

    test('even if that was renamed', async () => {
      assert.equal(await cwdAfter((folder) => renameSync(folder, `${folder}-renamed`)), 'FOLDER-renamed\n')
    })

    test('if that is unchanged', async () => {
      assert.equal(await cwdAfter(() => {}), 'FOLDER\n')
    })
  })

  test('a handle shows no listeners but those of the user', async () => {
    const child = launcher.spawn('cat')
    assert.deepEqual(child.eventNames(), [])
    child.stdin?.end()
    await closed(child)
    assert.deepEqual(child.eventNames(), [])
  })

  test('an error thrown in a listener is attributed to the test that added the listener', async () => {
    for (const event of ['spawn', 'exit', 'close']) {
      const args = ['--test-reporter=tap', pathOf('thrown-main'), event, launcher.name]
      const { output, status } = await outcomeOf(...args)
      assert.equal(status, 1, output)
      assert.match(output, /^not ok 1 - fails$/m)
      assert.match(output, new RegExp(`in a listener of ${event}`))
    }
  })
})

suite('a polluted Object.prototype', () => {
  // Not `signal` and `encoding`: Node's own streams read them from the prototype, so that nothing works.
  const pollution = {
    shell: '/bin/false',
    env: { EVIL: 'evil' },
    cwd: '/usr',
    argv0: 'evil',
    uid: 4321,
    gid: 4321,
    input: 'evil',
    timeout: 1,
    killSignal: 'SIGKILL',
    stdio: 'ignore',
    maxBuffer: 1,
    detached: true,
    serialization: 'advanced',
    statusCode: 'evil',
    grace: 'evil',
    drain: 'evil',
    workerTimeout: 'evil',
    hooks: 'evil',
    launch: 'evil',
    capture: 'evil',
    logger: 'evil'
  }
  const run = (launch: string, properties: object): string => {
    const args = [pathOf('polluted-main'), launch, JSON.stringify(properties)]
    const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8' })
    assert.equal(status, 0, stderr)
    return stdout
  }
  for (const launch of ['keeper', 'direct']) {
    test(`sets no option, launch: ${launch}`, () => {
      const clean = run(launch, {})
      for (const name in pollution) {
        const property = { [name]: pollution[name as keyof typeof pollution] }
        assert.equal(run(launch, property), clean, name)
      }
    })
  }
})

suite('arguments with a shell', () => {
  const program = `
    import { createGuard } from 'fastify-subprocess-guard'
    process.on('warning', ({ code }) => console.log(code))
    const guard = await createGuard()
    await guard.run({}, async (scope) => {
      for (let count = 0; count < 2; count++) await scope.execFile('echo', ['$0'], { shell: true })
      await scope.exec('echo')
    })
    await guard.close()`
  const skip = nodeMajor < 24 && 'Node warns since version 24'
  test('emit the deprecation warning of Node once', { skip }, async () => {
    const { output } = await outcomeOf('--input-type=module', '-e', program)
    assert.equal(output, 'DEP0190\n')
  })
})

test('an unknown option that looks misspelt is logged once', async () => {
  const warnings: string[] = []
  const logger = { info() {}, warn: (_: object, message: string) => void warnings.push(message), error() {} }
  const guard = await createGuard({ logger })
  await guard.run({}, async (scope) => {
    const options = {
      timout: 1,
      killsignal: 'SIGKILL',
      encoding: 'utf8',
      reject: false,
      all: true,
      id: 1
    } as object
    for (let count = 0; count < 2; count++) await closed(scope.spawn('true', [], options))
  })
  await guard.close()
  assert.equal(warnings.length, 2, warnings.join('\n'))
  assert.match(warnings[0] as string, /`timout`.*`timeout`/)
  assert.match(warnings[1] as string, /`killsignal`.*`killSignal`/)
})
