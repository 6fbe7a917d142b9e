/**
 * Commands run with the rights that the worker has now, also after a server has given up root
 * (docs/faults.md, 69).
 */

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
const startMethods = ['spawn', 'exec', 'execFile', 'stream', 'direct launch']

/**
 * A server with a keeper and a scope that has given up root. `first` is what it starts before that, as root.
 */
async function startAndDropRoot(
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

/** Fields of /proc/PID/status, by name. */
function statusFields(pid: number, names: readonly string[]): string[] {
  return fieldsIn(readFileSync(`/proc/${pid}/status`, 'utf8'), names)
}

function fieldsIn(status: string, names: readonly string[]): string[] {
  return names.map((name) => new RegExp(`^${name}:.*$`, 'm').exec(status)?.[0] ?? '')
}

suite('a server that starts as root and then gives it up', { skip }, () => {
  for (const order of [
    ['register', 'listen', 'change'],
    ['listen', 'register', 'change'],
    ['listen', 'change', 'register']
  ]) {
    test(`runs commands as its current user: ${order}`, async (t) => {
      const server = new Changing(t)
      for (const act of order) await server.ask(act, ...(act === 'change' ? ['user'] : []))
      await server.ask('open', 'scope')
      for (const method of startMethods)
        assert.equal(await server.ask('run', 'scope', method, 'id -u'), nobody, method)
      const [keeper] = statusFields(await server.keeper(), ['Uid'])
      assert.match(keeper as string, /65534\s+65534\s+65534/)
      await server.ask('close', 'scope')
      assert.deepEqual(await server.ask('said'), [])
    })
  }

  test('runs commands as its current user in a scope that was open before', async (t) => {
    const { server, before } = await startAndDropRoot(t)
    for (const method of startMethods)
      assert.equal(await server.ask('run', 'scope', method, 'id -u; id -G'), nobody.repeat(2), method)
    assert.notEqual(await server.keeper(), before)
    await server.ask('close', 'scope')
    await eventually('the keeper of root has exited', () => !lives(before))
  })

  for (const method of ['spawn', 'direct launch']) {
    test(`starts a command that was ordered in the same turn of the event loop: ${method}`, async (t) => {
      const server = new Changing(t)
      await server.ask('register')
      await server.ask('open', 'scope')
      const output = await server.ask('run and change', 'scope', method, 'id -u', 0)
      assert.equal(output, method === 'spawn' ? nobody : '0\n')
      assert.equal(await server.ask('run', 'scope', method, 'id -u'), nobody)
    })
  }

  test('starts a command whose order the keeper reads after the change', async (t) => {
    const server = new Changing(t)
    await server.ask('register')
    const keeper = await server.keeper()
    await server.ask('open', 'scope')
    await server.ask('run', 'scope', 'spawn', 'true')
    process.kill(keeper, 'SIGSTOP')
    // After 20 turns of the event loop its connections are made.
    const output = server.ask('run and change', 'scope', 'spawn', 'id -u', 20)
    await eventually(
      'the server runs as nobody',
      () => statusFields(server.process.pid as number, ['Uid'])[0]?.includes('65534') ?? false
    )
    process.kill(keeper, 'SIGCONT')
    assert.equal(await output, nobody)
  })

  test('starts a command that waited for its place during the change as its current user', async (t) => {
    const server = new Changing(t, { limits: { concurrency: 1 } })
    await server.ask('register')
    const keeper = await server.keeper()
    await server.ask('open', 'scope')
    const pid = await server.ask<number>('start', 'scope', 'waits.sh')
    const output = server.ask('run', 'scope', 'spawn', 'id -u')
    await server.ask('change', 'user')
    process.kill(pid, 'SIGKILL')
    assert.equal(await output, nobody)
    assert.notEqual(await server.keeper(), keeper)
    await server.ask('close', 'scope')
    assert.deepEqual(await server.ask('said'), [])
  })

  for (const what of ['its request', 'close()', 'the worker']) {
    test(`keeps what it started as root until that ends with ${what}`, async (t) => {
      const { server, before } = await startAndDropRoot(t, {}, { program: 'background-child.sh' })
      await server.ask('start', 'scope', 'background-child.sh')
      await server.witness.present(4)
      const pids = server.witness.announced.map(({ pid }) => pid)
      const users = pids.map((pid) => statusFields(pid, ['Uid'])[0]?.includes('65534'))
      assert.deepEqual(users.sort(), [false, false, true, true])
      assert.deepEqual((await server.ask<number[]>('list', 'scope')).sort(), pids.sort())
      if (what === 'its request') {
        const { ended } = await server.ask<{ ended: string[] }>('close', 'scope')
        assert.deepEqual(ended, ['SIGTERM', 'SIGTERM', 'SIGTERM', 'SIGTERM'])
      } else if (what === 'close()') await server.ask('end')
      else server.process.kill('SIGKILL')
      await assertGone(server)
      await eventually('the keeper of root has exited', () => !lives(before))
    })
  }

  test('is listed by `ps` with the processes of both keepers', async (t) => {
    const { server } = await startAndDropRoot(t, {}, { program: 'waits.sh' })
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

  test('still serves when a keeper is lost', async (t) => {
    const { server, before } = await startAndDropRoot(t)
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

  test('gives its commands private directories for temporary files, and leaves none', async (t) => {
    const { server, output } = await startAndDropRoot(
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

  test('has its hooks run as its current user', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'h-'))
    t.after(() => rmSync(folder, { recursive: true }))
    chmodSync(folder, 0o777)
    const hooks = join(folder, 'hooks.mjs')
    const touchFlag = (what: string): string =>
      `writeFileSync(import.meta.dirname + '/${what}-' + process.getuid(), '')`
    const hook = `export const workerExit = () => ${touchFlag('called')}`
    writeFileSync(hooks, `import { writeFileSync } from 'node:fs'\n${touchFlag('loaded')}\n${hook}\n`)
    const { server, before } = await startAndDropRoot(t, { hooks })
    // The worker notices the change without a launch.
    await server.until((keeper) => keeper !== before, 'keeper')
    const keeper = await server.keeper()
    await eventually('the keeper has loaded the hooks', () => existsSync(join(folder, 'loaded-65534')))
    await eventually('the process that loaded them has exited', () => childrenOf(keeper).length === 0)
    server.process.kill('SIGKILL')
    await eventually('the hook has run', () => existsSync(join(folder, 'called-65534')))
    await eventually('the keeper of root has exited', () => !lives(before))
    assert.ok(!existsSync(join(folder, 'called-0')))
  })
})

suite('a server that starts as root', { skip }, () => {
  // Only rights that a process keeps across exec.
  for (const [what, names] of Object.entries({
    groups: ['Uid', 'Gid', 'Groups'],
    group: ['Uid', 'Groups'],
    'effective user': ['Gid', 'Groups', 'CapBnd'],
    capabilities: ['Uid', 'Gid', 'Groups', 'CapBnd']
  })) {
    test(`runs commands with its current rights after a change of its ${what}`, async (t) => {
      const server = new Changing(t)
      await server.ask('register')
      const before = await server.keeper()
      await server.ask('open', 'scope')
      await server.ask('run', 'scope', 'spawn', 'true')
      assert.equal(await server.keeper(), before)
      await server.ask('change', what)
      const status = await server.ask<string>('run', 'scope', 'no shell', 'cat /proc/self/status')
      assert.notEqual(await server.keeper(), before)
      const own = statusFields(server.process.pid as number, names)
      assert.deepEqual(fieldsIn(status, names), own)
      if (what === 'effective user') assert.match(status, /^Uid:\s+0\s+65534\s/m)
    })
  }
})
