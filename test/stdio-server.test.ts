/** The keeper's socket or its folder is removed from outside, as tools that tidy up /tmp do: it opens another one (FAULTS 72). */

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

const outer = tmpdir()
const parent = mkdtempSync(join(outer, 'door-'))
process.env.TMPDIR = parent
after(() => {
  process.env.TMPDIR = outer
  rmSync(parent, { recursive: true, force: true })
})

/** The folder of the keeper there is. */
function folder(): string {
  const [name, ...others] = readdirSync(parent).filter((name) => name.startsWith('subprocess-guard-'))
  assert.ok(name !== undefined && others.length === 0)
  return join(parent, name)
}

async function start(t: TestContext): Promise<Guarded> {
  const guarded = await Guarded.start()
  t.after(() => guarded.close())
  return guarded
}

const removals: Record<string, () => void> = {
  'the folder is removed': () => rmSync(folder(), { recursive: true }),
  'the socket is removed': () => rmSync(join(folder(), 'stdio')),
  'the folder is renamed': () => renameSync(folder(), join(parent, 'renamed')),
  'the folder of all temporary files is removed': () => rmSync(parent, { recursive: true }),
  'somebody else has taken its place': () => {
    rmSync(join(folder(), 'stdio'))
    mkdirSync(join(folder(), 'stdio'))
  }
}

suite('the keeper’s socket', () => {
  for (const [what, remove] of Object.entries(removals)) {
    test(`is another one when ${what}`, async (t) => {
      t.after(() => {
        rmSync(parent, { recursive: true, force: true })
        mkdirSync(parent)
      })
      const guarded = await start(t)
      const { keeper } = guarded.guard
      const running = guarded.guard.open()
      const cat = running.execFile('cat', { input: 'still\n' })
      assert.equal((await cat).stdout, 'still\n')
      const lasting = running.spawn('cat')
      await new Promise((resolve) => lasting.once('spawn', resolve))
      remove()
      // Some in one turn, with and without input, some later.
      for (let round = 0; round < 3; round++) {
        await guarded.guard.run({}, async (scope) => {
          const outputs = await Promise.all([
            ...Array.from({ length: 20 }, (_, index) => echoed(scope, `${index}`)),
            endedEarly(scope)
          ])
          assert.deepEqual(outputs, [...Array.from({ length: 20 }, (_, index) => `${index}`), 'null 0'])
        })
      }
      assert.equal(guarded.guard.keeper, keeper)
      assert.equal(guarded.lines('socket was removed').length, 1)
      lasting.stdin.end('and on\n')
      let said = ''
      for await (const chunk of lasting.stdout) said += chunk
      assert.equal(said, 'and on\n')
      await running.close()
    })
  }

  test('is missed by no command, and blames none, when there can be no other one', async (t) => {
    const guarded = await start(t)
    const { keeper } = guarded.guard
    const limit = (most: number): void =>
      void execFileSync('prlimit', ['--pid', `${keeper}`, `--nofile=${most}:`], { encoding: 'utf8' })
    // None is free, so that it can open no socket.
    limit(3)
    rmSync(folder(), { recursive: true })
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

/** A module that says where it is, in a folder of its own. Returns that. */
function moduleIn(folder: string): string {
  mkdirSync(folder)
  writeFileSync(join(folder, 'module.mjs'), 'export default import.meta.url')
  return join(folder, 'module.mjs')
}

// A look at a socket leads Node's next import astray.
test('a command leaves alone how Node finds a module behind a symbolic link', async (t) => {
  const guarded = await start(t)
  const folder = mkdtempSync(join(parent, 'modules-'))
  // What Node has found out of the folder above it remembers.
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

async function echoed(scope: Scope, input: string): Promise<string> {
  return (await scope.execFile('cat', { input })).stdout
}

/** A command whose streams its user has ended before it was there. */
async function endedEarly(scope: Scope): Promise<string> {
  const child = scope.spawn('cat', [], { stdio: ['pipe', 'ignore', 'pipe'] })
  child.stdin.destroy()
  child.stderr.destroy()
  return new Promise((resolve) => child.once('close', (code, signal) => resolve(`${signal} ${code}`)))
}
