/** What Node's own tests of `child_process`, and other projects', expect of a drop-in (FAULTS 76, 80, 81, 82). */

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

/** Runs a program, and resolves with what it has written and how it has ended. */
async function outcomeOf(...args: string[]): Promise<{ output: string; status: number | null }> {
  const program = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const [output] = await Promise.all([text(program.stdout), text(program.stderr), closed(program)])
  return { output, status: program.exitCode }
}

forEachLauncher((launcher) => {
  suite('the worker’s folder', () => {
    /** What a command says of the folder it is in, in a folder to which something has happened. */
    async function saidIn(happens: (folder: string) => void): Promise<string> {
      const before = process.cwd()
      const folder = realpathSync(mkdtempSync(join(tmpdir(), 'folder-')))
      process.chdir(folder)
      try {
        // Node remembers the path.
        process.cwd()
        happens(folder)
        const child = launcher.spawn('sh', ['-c', 'readlink /proc/$$/cwd'])
        const [said] = await Promise.all([text(child.stdout as never), closed(child)])
        return said.replaceAll(folder, 'FOLDER')
      } finally {
        process.chdir(before)
        rmSync(folder, { recursive: true, force: true })
        rmSync(`${folder}-renamed`, { recursive: true, force: true })
      }
    }

    test('was removed', async () => {
      assert.equal(await saidIn((folder) => rmSync(folder, { recursive: true })), 'FOLDER (deleted)\n')
    })

    test('was renamed', async () => {
      assert.equal(await saidIn((folder) => renameSync(folder, `${folder}-renamed`)), 'FOLDER-renamed\n')
    })

    test('is what it was', async () => {
      assert.equal(await saidIn(() => {}), 'FOLDER\n')
    })
  })

  test('a handle shows nobody’s listeners but the user’s', async () => {
    const child = launcher.spawn('cat')
    assert.deepEqual(child.eventNames(), [])
    child.stdin?.end()
    await closed(child)
    assert.deepEqual(child.eventNames(), [])
  })

  test('what a listener throws is known for what its test has thrown', async () => {
    for (const event of ['spawn', 'exit', 'close']) {
      const args = ['--test-reporter=tap', pathOf('thrown-main'), event, launcher.name]
      const { output, status } = await outcomeOf(...args)
      assert.equal(status, 1, output)
      assert.match(output, /^not ok 1 - fails$/m)
      assert.match(output, new RegExp(`in a listener of ${event}`))
    }
  })
})

suite('an Object.prototype that is polluted', () => {
  // Without `signal` and `encoding`: Node's own streams honour them, and nothing works any more.
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
    test(`decides nothing, launch: ${launch}`, () => {
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
  test('are warned of once', { skip }, async () => {
    const { output } = await outcomeOf('--input-type=module', '-e', program)
    assert.equal(output, 'DEP0190\n')
  })
})

test('an option that is ignored, but looks like one, is told once', async () => {
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
