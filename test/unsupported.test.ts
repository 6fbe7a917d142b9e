/**
 * On a system where processes cannot be found, the guard does not start, and its error says why
 * (docs/faults.md, 87).
 */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'

const registration = `
  import Fastify from 'fastify'
  import subprocessGuard from 'fastify-subprocess-guard'
  const app = Fastify()
  app.register(subprocessGuard)
  try {
    await app.ready()
  } catch ({ code, message }) {
    console.log(code, message)
  }`

/** The output of a server that registers the guard. Asserts that it leaves nothing in TMPDIR. */
function registrationOutput(t: TestContext, command: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'unsupported-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const [program = '', ...args] = [...command, process.execPath, '--input-type=module', '-e', registration]
  const env = { ...process.env, TMPDIR: folder }
  const { stdout, stderr, status } = spawnSync(program, args, { encoding: 'utf8', env, timeout: 60_000 })
  assert.equal(status, 0, stderr)
  assert.deepEqual(readdirSync(folder), [])
  return stdout
}

const user = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']
const withoutProc = [
  'unshare',
  ...user,
  '--mount',
  'sh',
  '-c',
  'mount -t tmpfs none /proc && exec "$@"',
  'sh'
]
const [program = '', ...args] = withoutProc
const canHideProc = spawnSync(program, [...args, 'true']).status === 0

suite('registration fails', () => {
  test('without /proc', { skip: !canHideProc && 'nothing can be mounted on /proc here' }, (t) => {
    assert.match(
      registrationOutput(t, withoutProc),
      /^ERR_SUBPROCESS_KEEPER_START .*\/proc is missing.*mount -t proc/
    )
  })
})
