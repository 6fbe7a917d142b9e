/** The keeper has the rights that the worker has now: a server starts as root, and gives that up (FAULTS 69). */

import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import { Changing } from './harness/changing.js'
import { runCli } from './harness/cli.js'
import { assertGone, eventually } from './harness/expectations.js'
import { childrenOf, lives } from './harness/proc.js'

const skip = process.getuid?.() !== 0 && 'only root can give up rights'
const nobody = '65534\n'
const ways = ['spawn', 'exec', 'execFile', 'stream', 'direct launch']

/** A server that has a keeper and a scope, and is root no more. What it starts before, it starts as root. */
async function dropped(
  t: TestContext,
  options: object = {},
  first: { program?: string; script?: string } = {}
) {
  const server = new Changing(t, options)
  await server.ask('register')
  const before = await server.keeper()
  await server.ask('open', 'scope')
  if (first.program !== undefined) await server.ask('start', 'scope', first.program)
  const output =
    first.script === undefined ? '' : await server.ask<string>('run', 'scope', 'spawn', first.script)
  await server.ask('change', 'user')
  return { server, before, output }
}

/** What the kernel says of a process after these words. */
function linesOf(pid: number, names: readonly string[]): string[] {
  return linesIn(readFileSync(`/proc/${pid}/status`, 'utf8'), names)
}

function linesIn(status: string, names: readonly string[]): string[] {
  return names.map((name) => new RegExp(`^${name}:.*$`, 'm').exec(status)?.[0] ?? '')
}

suite('a server that starts as root and gives that up', { skip }, () => {
  for (const order of [
    ['register', 'listen', 'change'],
    ['listen', 'register', 'change'],
    ['listen', 'change', 'register']
  ]) {
    test(`runs commands as the user that it is now: ${order}`, async (t) => {
      const server = new Changing(t)
      for (const act of order) await server.ask(act, ...(act === 'change' ? ['user'] : []))
      await server.ask('open', 'scope')
      for (const way of ways) assert.equal(await server.ask('run', 'scope', way, 'id -u'), nobody, way)
      const [keeper] = linesOf(await server.keeper(), ['Uid'])
      assert.match(keeper as string, /65534\s+65534\s+65534/)
      await server.ask('close', 'scope')
      assert.deepEqual(await server.ask('said'), [])
    })
  }

  test('runs commands as that user in a scope that was open before', async (t) => {
    const { server, before } = await dropped(t)
    for (const way of ways)
      assert.equal(await server.ask('run', 'scope', way, 'id -u; id -G'), nobody.repeat(2), way)
    assert.notEqual(await server.keeper(), before)
    await server.ask('close', 'scope')
    await eventually('the keeper of root has ended', () => !lives(before))
  })

  for (const way of ['spawn', 'direct launch']) {
    test(`starts a command that was ordered in the same turn of the loop: ${way}`, async (t) => {
      const server = new Changing(t)
      await server.ask('register')
      await server.ask('open', 'scope')
      const output = await server.ask('run and change', 'scope', way, 'id -u', 0)
      assert.equal(output, way === 'spawn' ? nobody : '0\n')
      assert.equal(await server.ask('run', 'scope', way, 'id -u'), nobody)
    })
  }

  test('starts a command whose order the keeper reads only afterwards', async (t) => {
    const server = new Changing(t)
    await server.ask('register')
    const keeper = await server.keeper()
    await server.ask('open', 'scope')
    await server.ask('run', 'scope', 'spawn', 'true')
    process.kill(keeper, 'SIGSTOP')
    // Its connections are made by then.
    const output = server.ask('run and change', 'scope', 'spawn', 'id -u', 20)
    await eventually(
      'it is nobody',
      () => linesOf(server.process.pid as number, ['Uid'])[0]?.includes('65534') ?? false
    )
    process.kill(keeper, 'SIGCONT')
    assert.equal(await output, nobody)
  })

  for (const what of ['its request', 'close()', 'the worker']) {
    test(`keeps what root has started, until that ends with ${what}`, async (t) => {
      const { server, before } = await dropped(t, {}, { program: 'background-child.sh' })
      await server.ask('start', 'scope', 'background-child.sh')
      await server.witness.present(4)
      const pids = server.witness.announced.map(({ pid }) => pid)
      const users = pids.map((pid) => linesOf(pid, ['Uid'])[0]?.includes('65534'))
      assert.deepEqual(users.sort(), [false, false, true, true])
      assert.deepEqual((await server.ask<number[]>('list', 'scope')).sort(), pids.sort())
      if (what === 'its request') {
        const { ended } = await server.ask<{ ended: string[] }>('close', 'scope')
        assert.deepEqual(ended, ['SIGTERM', 'SIGTERM', 'SIGTERM', 'SIGTERM'])
      } else if (what === 'close()') await server.ask('end')
      else server.process.kill('SIGKILL')
      await assertGone(server)
      await eventually('the keeper of root has ended', () => !lives(before))
    })
  }

  test('is shown by `ps` with what both keepers run', async (t) => {
    const { server } = await dropped(t, {}, { program: 'waits.sh' })
    await server.ask('start', 'scope', 'waits.sh')
    await server.witness.present(2)
    const { stdout } = await runCli(['ps', '--json'])
    const { worker, keeper, scopes } = JSON.parse(stdout).find(
      (one: { worker: number }) => one.worker === server.process.pid
    )
    assert.equal(worker, server.process.pid)
    assert.equal(keeper, await server.keeper())
    assert.equal(scopes.length, 1)
    const shown = scopes[0].processes.map(({ pid }: { pid: number }) => pid)
    assert.deepEqual(shown.sort(), server.witness.announced.map(({ pid }) => pid).sort())
  })

  test('serves on when a keeper is lost', async (t) => {
    const { server, before } = await dropped(t)
    assert.equal(await server.ask('run', 'scope', 'spawn', 'id -u'), nobody)
    const later = await server.keeper()
    for (const keeper of [before, later]) {
      process.kill(keeper, 'SIGKILL')
      await server.until<string[]>((reasons) => reasons.length > 0, 'reasons')
      assert.deepEqual(await server.ask('reasons'), ['keeper-lost'])
      await server.ask('open', 'scope')
      assert.equal(await server.ask('run', 'scope', 'spawn', 'id -u'), nobody)
    }
    assert.notEqual(await server.keeper(), later)
  })

  test('gives its commands folders of their own for temporary files, and leaves none', async (t) => {
    const { server, output } = await dropped(
      t,
      { privateTmp: true },
      { script: 'touch $TMPDIR/file; echo $TMPDIR' }
    )
    const own = await server.ask<string>('temporary folder', 'scope')
    writeFileSync(join(own, 'file'), '')
    const path = await server.ask<string>('run', 'scope', 'spawn', 'touch $TMPDIR/file && echo $TMPDIR')
    const folders = [output, path].map((text) => text.trim())
    assert.equal(new Set(folders).size, 2)
    for (const folder of folders) assert.ok(existsSync(join(folder, 'file')), folder)
    const { leftFolders } = await server.ask<{ leftFolders: unknown[] }>('close', 'scope')
    assert.deepEqual(leftFolders, [])
    await server.ask('end')
    assert.deepEqual(readdirSync(server.tmp), [])
  })

  test('has its hooks run as the user that it is now', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'h-'))
    t.after(() => rmSync(folder, { recursive: true }))
    chmodSync(folder, 0o777)
    const hooks = join(folder, 'hooks.mjs')
    const tell = (what: string): string =>
      `writeFileSync(import.meta.dirname + '/${what}-' + process.getuid(), '')`
    const hook = `export const workerExit = () => ${tell('called')}`
    writeFileSync(hooks, `import { writeFileSync } from 'node:fs'\n${tell('loaded')}\n${hook}\n`)
    const { server, before } = await dropped(t, { hooks })
    // No launch tells it.
    await server.until((keeper) => keeper !== before, 'keeper')
    const keeper = await server.keeper()
    await eventually('it has loaded the hooks', () => existsSync(join(folder, 'loaded-65534')))
    await eventually('that is over', () => childrenOf(keeper).length === 0)
    server.process.kill('SIGKILL')
    await eventually('the hook has run', () => existsSync(join(folder, 'called-65534')))
    await eventually('the keeper of root has ended', () => !lives(before))
    assert.ok(!existsSync(join(folder, 'called-0')))
  })
})

suite('a server that starts as root', { skip }, () => {
  // What a process keeps that becomes another program.
  for (const [what, names] of Object.entries({
    groups: ['Uid', 'Gid', 'Groups'],
    group: ['Uid', 'Groups'],
    'effective user': ['Gid', 'Groups', 'CapBnd'],
    capabilities: ['Uid', 'Gid', 'Groups', 'CapBnd']
  })) {
    test(`runs commands with the rights that it has now, after a change of its ${what}`, async (t) => {
      const server = new Changing(t)
      await server.ask('register')
      const before = await server.keeper()
      await server.ask('open', 'scope')
      await server.ask('run', 'scope', 'spawn', 'true')
      assert.equal(await server.keeper(), before)
      await server.ask('change', what)
      const told = await server.ask<string>('run', 'scope', 'no shell', 'cat /proc/self/status')
      assert.notEqual(await server.keeper(), before)
      const own = linesOf(server.process.pid as number, names)
      assert.deepEqual(linesIn(told, names), own)
      if (what === 'effective user') assert.match(told, /^Uid:\s+0\s+65534\s/m)
    })
  }
})
