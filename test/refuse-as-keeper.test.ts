/**
 * No other program runs in place of the keeper (docs/faults.md, 74 and 93): a program that has the keeper's
 * environment variable but is not the keeper refuses to go on.
 */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { suite, test } from 'node:test'
import { createGuard } from 'fastify-subprocess-guard'
import { patienceMs } from './harness/patience.js'
import { shareKeeper } from './harness/shared-keeper.js'

shareKeeper()
const variable = 'SUBPROCESS_GUARD_KEEPER'

function runProgram(program: string, env = {}): { status: number | null; stdout: string; stderr: string } {
  const args = ['--input-type=module', '--eval', program]
  return spawnSync(process.execPath, args, {
    encoding: 'utf8',
    env: { ...process.env, ...env },
    timeout: patienceMs
  })
}

suite('a program that was started in place of a keeper', () => {
  for (const entry of ['fastify-subprocess-guard', 'fastify-subprocess-guard/express']) {
    test(`ends when it imports ${entry}`, () => {
      const program = `console.log('it has started'); await import('${entry}'); console.log('it goes on')`
      const { status, stdout, stderr } = runProgram(program, { [variable]: 'mark' })
      assert.equal(stdout, 'it has started\n')
      assert.match(
        stderr,
        new RegExp(`was started as the keeper of process ${process.pid} \\(${variable} is in its env`)
      )
      assert.match(stderr, /see "Bundling" in docs\/deployment\.md/)
      assert.equal(status, 1)
    })
  }

  test('cannot register the guard', async (t) => {
    process.env[variable] = 'mark'
    t.after(() => delete process.env[variable])
    await assert.rejects(createGuard(), {
      code: 'ERR_SUBPROCESS_KEEPER_START',
      message: /was started as the keeper of process/
    })
  })
})

test('the keeper’s file refuses to run when no guard has started it', () => {
  const { status, stderr } = runProgram(`await import('fastify-subprocess-guard/keeper')`)
  assert.match(stderr, /this is the file of the keeper: the guard starts it/)
  assert.equal(status, 1)
})

suite('registration names what could not run the keeper', () => {
  test('when that program has exited', () => {
    const program = `process.execPath = '/bin/true'
      const { createGuard } = await import('fastify-subprocess-guard')
      await createGuard().catch(({ code, message }) => console.log(code, message))`
    const { stdout, stderr } = runProgram(program)
    assert.match(
      stdout,
      /^ERR_SUBPROCESS_KEEPER_START .*: \/bin\/true \S+\/dist\/keeper\/main\.js ended with status 0/,
      stderr
    )
  })

  for (const [what, preload, runtime] of [
    ['Bun', "Object.defineProperty(process.versions, 'bun', { value: '1.4.5' })", 'Bun 1\\.4\\.5'],
    ['Deno', "Object.defineProperty(process.versions, 'deno', { value: '2.9.6' })", 'Deno 2\\.9\\.6'],
    [
      'Electron',
      "Object.defineProperty(process.versions, 'electron', { value: '40.0.0' })",
      'Electron 40\\.0\\.0'
    ],
    ['NW.js', "Object.defineProperty(process.versions, 'nw', { value: '0.100.0' })", 'NW\\.js 0\\.100\\.0'],
    ['an executable by pkg', 'process.pkg = {}', 'a single executable application'],
    ['an executable by nexe', 'process.__nexe = {}', 'a single executable application'],
    [
      'a single executable application',
      "process.getBuiltinModule('node:sea').isSea = () => true",
      'a single executable application'
    ]
  ] as const) {
    test(`when that program is ${what}`, () => {
      const program = `${preload}
        const { createGuard } = await import('fastify-subprocess-guard')
        await createGuard().catch(({ code, message }) => console.log(code, message))`
      const { stdout, stderr } = runProgram(program)
      assert.match(
        stdout,
        new RegExp(`^ERR_SUBPROCESS_KEEPER_START .*: ${process.execPath} is ${runtime} and cannot`),
        stderr
      )
      assert.match(stdout, /run the server with `node`/)
    })
  }

  test('when that is Yarn Plug’n’Play', () => {
    const program = `Object.defineProperty(process.versions, 'pnp', { value: '3' })
      const { createGuard } = await import('fastify-subprocess-guard')
      await createGuard().catch(({ code, message }) => console.log(code, message))`
    const { stdout, stderr } = runProgram(program)
    assert.match(
      stdout,
      /^ERR_SUBPROCESS_KEEPER_START .*Plug'n'Play.*: set nodeLinker to node-modules/,
      stderr
    )
  })
})

suite('a server that is started as a command of another server', () => {
  for (const launch of ['keeper', 'direct'] as const) {
    test(`guards its own commands, launch: ${launch}`, async () => {
      const guard = await createGuard({ launch })
      const program = `import { createGuard } from 'fastify-subprocess-guard'
        import 'fastify-subprocess-guard/express'
        const guard = await createGuard()
        const scope = guard.open()
        console.log((await scope.exec('echo "said, $${variable}"')).stdout)
        await scope.close()
        await guard.close()`
      const args = ['--input-type=module', '--eval', program]
      const { stdout } = await guard.run({ timeout: false }, (scope) =>
        scope.execFile(process.execPath, args)
      )
      assert.equal(stdout, 'said, \n\n')
      await guard.close()
    })
  }
})
