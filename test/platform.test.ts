/**
 * Only lib/platform depends on the operating system, and it has one implementation of everything for each
 * system.
 */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, renameSync } from 'node:fs'
import { basename, join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { keeperFile } from './harness/compiled.js'
import { type Installed, installWithoutKoffi } from './harness/without-koffi.js'

const lib = fileURLToPath(new URL('../../lib/', import.meta.url))
const files = readdirSync(lib, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'))

suite('the operating system', () => {
  test('is named in lib/platform only', () => {
    const others = files.filter((path) => !path.startsWith('platform/'))
    assert.ok(others.length > 50)
    const naming = others.filter((path) =>
      /process\.platform|\/proc\b|\bkoffi\b/.test(readFileSync(join(lib, path), 'utf8'))
    )
    assert.deepEqual(naming, [])
  })

  test('is diagnosed by code that no keeper contains', () => {
    const keeper = readFileSync(keeperFile, 'utf8')
    assert.match(keeper, /function statOf/)
    assert.doesNotMatch(keeper, /diagnosis/i)
  })
})

suite('the code for an operating system', () => {
  let installed: Installed
  before(async () => {
    installed = await installWithoutKoffi()
  })
  after(() => installed.remove())

  /** Runs a program in a copy of the package without the code for these systems. */
  function outputWithout(systems: readonly string[], program: string, env = {}): string {
    const folder = fileURLToPath(new URL('.', installed.url))
    const chunks = join(folder, 'chunks')
    const others = readdirSync(chunks).filter((name) => systems.some((system) => name.startsWith(system)))
    assert.ok(others.length >= systems.length, `no code for one of ${systems}`)
    for (const name of others) renameSync(join(chunks, name), join(folder, name))
    try {
      const args = ['--input-type=module', '--eval', program.replaceAll('PACKAGE', installed.url)]
      return execFileSync(process.execPath, args, { env: { ...process.env, ...env }, encoding: 'utf8' })
    } finally {
      for (const name of others) renameSync(join(folder, name), join(chunks, name))
    }
  }

  const echo = `
    import { createGuard } from 'PACKAGE'
    const guard = await createGuard({ logger: { info() {}, warn() {}, error: console.error } })
    const { stdout } = await guard.run({}, (scope) => scope.execFile('echo', ['echoed']))
    console.log(guard.containment, stdout.trim())
    await guard.close()`

  test('is not loaded before registration', () => {
    const program = "import { createGuard } from 'PACKAGE'; console.log(typeof createGuard)"
    assert.equal(outputWithout(['linux', 'choose-posix', 'windows'], program), 'function\n')
  })

  test('is not needed on Linux if it is for another one', () => {
    assert.equal(outputWithout(['choose-posix', 'windows'], echo), 'marks echoed\n')
  })

  test('is not needed on macOS if it is for another one', () => {
    const env = { SUBPROCESS_GUARD_SYSTEM: 'posix' }
    assert.equal(outputWithout(['linux', 'windows'], echo, env), 'tree echoed\n')
  })
})

test('no two files of lib have the same name', () => {
  const names = files.map((path) => basename(path))
  assert.deepEqual(
    names.filter((name, index) => names.indexOf(name) !== index),
    []
  )
})
