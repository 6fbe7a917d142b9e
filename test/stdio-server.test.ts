/**
 * When the keeper's socket or its directory is removed from outside, for example by a cleanup of /tmp, the
 * keeper opens another one (docs/faults.md, 72).
 */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, type TestContext, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import type { Scope } from 'fastify-subprocess-guard'
import { Guarded } from './harness/guarded.js'

const originalTmpdir = tmpdir()
const parent = mkdtempSync(join(originalTmpdir, 'door-'))
process.env.TMPDIR = parent
after(() => {
  process.env.TMPDIR = originalTmpdir
  rmSync(parent, { recursive: true, force: true })
})

/** The socket directory of the only keeper. */
function socketFolder(): string {
  const [name, ...others] = readdirSync(parent).filter((name) => name.startsWith('subprocess-guard-'))
  assert.ok(name !== undefined && others.length === 0)
  return join(parent, name)
}

async function start(t: TestContext): Promise<Guarded> {
  const guarded = await Guarded.start()
  t.after(() => guarded.close())
  return guarded
}

const disturbances: Record<string, () => void> = {
  'its directory is removed': () => rmSync(socketFolder(), { recursive: true }),
  'it is removed': () => rmSync(join(socketFolder(), 'stdio')),
  'its directory is renamed': () => renameSync(socketFolder(), join(parent, 'renamed')),
  'TMPDIR is removed': () => rmSync(parent, { recursive: true }),
  'something else has taken its path': () => {
    rmSync(join(socketFolder(), 'stdio'))
    mkdirSync(join(socketFolder(), 'stdio'))
  }
}

suite('the keeper’s socket', () => {
  for (const [what, remove] of Object.entries(disturbances)) {
    test(`is replaced when ${what}`, async (t) => {
      t.after(() => {
        rmSync(parent, { recursive: true, force: true })
        mkdirSync(parent)
      })
      const guarded = await start(t)
      const { keeper } = guarded.guard
      const running = guarded.guard.open()
      const cat = running.execFile('cat', { input: 'still\n' })
      assert.equal((await cat).stdout, 'still\n')
      const longLived = running.spawn('cat')
      await new Promise((resolve) => longLived.once('spawn', resolve))
      remove()
      // Many commands in one turn of the event loop, with and without input, and more of them later.
      for (let round = 0; round < 3; round++) {
        await guarded.guard.run({}, async (scope) => {
          const outputs = await Promise.all([
            ...Array.from({ length: 20 }, (_, index) => echo(scope, `${index}`)),
            endedEarly(scope)
          ])
          assert.deepEqual(outputs, [...Array.from({ length: 20 }, (_, index) => `${index}`), 'null 0'])
        })
      }
      assert.equal(guarded.guard.keeper, keeper)
      assert.equal(guarded.lines('socket was removed').length, 1)
      longLived.stdin.end('and on\n')
      let output = ''
      for await (const chunk of longLived.stdout) output += chunk
      assert.equal(output, 'and on\n')
      await running.close()
    })
  }

  test('that cannot be replaced fails commands with an error that does not blame them', async (t) => {
    const guarded = await start(t)
    const { keeper } = guarded.guard
    const limit = (most: number): void =>
      void execFileSync('prlimit', ['--pid', `${keeper}`, `--nofile=${most}:`], { encoding: 'utf8' })
    // The keeper has no free descriptor, so it cannot open a socket.
    limit(3)
    rmSync(socketFolder(), { recursive: true })
    await guarded.guard.run({}, async (scope) => {
      await assert.rejects(scope.execFile('echo'), {
        code: 'ERR_SUBPROCESS_KEEPER_LOST',
        message: /its socket was removed and could not be replaced yet/
      })
    })
    limit(1_024)
    const again = await guarded.guard.run(
      {},
      async (scope) => (await scope.execFile('echo', ['again'])).stdout
    )
    assert.equal(again, 'again\n')
    assert.equal(guarded.guard.keeper, keeper)
  })
})

/** Makes a directory with a module that exports its own URL. Returns the path of the module. */
function moduleIn(folder: string): string {
  mkdirSync(folder)
  writeFileSync(join(folder, 'module.mjs'), 'export default import.meta.url')
  return join(folder, 'module.mjs')
}

// The worker stats the socket before launches. Without `bigint`, that would break Node's next import through
// a link.
test('a command does not change how Node resolves a module behind a symbolic link', async (t) => {
  const guarded = await start(t)
  const folder = mkdtempSync(join(parent, 'modules-'))
  // Node caches what it found out about the parent directory.
  await import(moduleIn(join(folder, 'first')))
  const path = moduleIn(join(folder, 'second'))
  symlinkSync(join(folder, 'second'), join(folder, 'link'))
  const scope = guarded.guard.open()
  const child = scope.spawn('cat')
  await once(child, 'spawn')
  const { default: url } = await import(join(folder, 'link', 'module.mjs'))
  assert.equal(url, pathToFileURL(path).href)
  await scope.close()
})

async function echo(scope: Scope, input: string): Promise<string> {
  return (await scope.execFile('cat', { input })).stdout
}

/** Runs a command whose streams are destroyed before it has started. */
async function endedEarly(scope: Scope): Promise<string> {
  const child = scope.spawn('cat', [], { stdio: ['pipe', 'ignore', 'pipe'] })
  child.stdin.destroy()
  child.stderr.destroy()
  return new Promise((resolve) => child.once('close', (code, signal) => resolve(`${signal} ${code}`)))
}
