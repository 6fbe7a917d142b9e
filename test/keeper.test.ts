/** The keeper is one process for each worker, small, private to its user, and exits with its last guard. */

import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, suite, test } from 'node:test'
import Fastify from 'fastify'
import subprocessGuard from 'fastify-subprocess-guard'
import { assertClean, eventually } from './harness/expectations.js'
import { lives, statOf } from './harness/proc.js'
import { serve } from './harness/server.js'

/** The limit of an idle keeper's private memory, in kB. */
const mostPrivateKb = 14 * 1024

// A TMPDIR of its own, so that keepers of other tests do not make their directories here.
const parent = mkdtempSync(join(tmpdir(), 'keeper-test-'))
process.env.TMPDIR = parent
after(() => rmSync(parent, { recursive: true }))

/** The private directory of the only keeper. */
function onlyFolder(): string {
  const [folder, ...others] = readdirSync(parent).filter((name) => name.startsWith('subprocess-guard-'))
  assert.ok(folder !== undefined && others.length === 0)
  return join(parent, folder)
}

suite('the keeper', () => {
  test('is ready before the app is, leads its own session, and does not keep the worker’s directory in use', async (t) => {
    const served = await serve({}, () => {})
    t.after(() => served.close())
    const { keeper } = served.app.subprocessGuard
    assert.equal(statOf(keeper)?.session, keeper)
    assert.equal(readlinkSync(`/proc/${keeper}/cwd`), '/')
    assert.equal(statOf(keeper)?.parent, process.pid)
  })

  test('survives every signal that can be caught and does not report a fault of its own', async (t) => {
    const served = await serve({}, () => {})
    t.after(() => served.close())
    const { keeper } = served.app.subprocessGuard
    const excluded = new Set([
      // SIGUSR1 opens Node's inspector, on a port that other tests need.
      'USR1',
      'KILL',
      'STOP',
      'ABRT',
      'IOT',
      'BUS',
      'FPE',
      'ILL',
      'SEGV',
      'SYS',
      'TRAP',
      'UNUSED'
    ])
    const names = Object.keys(constants.signals).filter((name) => !excluded.has(name.slice('SIG'.length)))
    assert.ok(names.length > 20, names.join())
    for (const name of names) process.kill(keeper, name)
    const output = await served.inRequest((request) => text(request.spawn('echo', ['alive']).stdout as never))
    assert.equal(output, 'alive\n')
    await assertClean(served)
  })

  test('is shared by all guards of a worker, and exits with the last one', async (t) => {
    const [first, second] = [Fastify(), Fastify()]
    t.after(() => Promise.all([first.close(), second.close()]))
    await Promise.all([first.register(subprocessGuard), second.register(subprocessGuard)])
    const { keeper } = first.subprocessGuard
    assert.equal(second.subprocessGuard.keeper, keeper)
    await first.close()
    assert.ok(lives(keeper))
    await second.close()
    await eventually('the keeper is gone', () => statOf(keeper) === undefined)
  })

  test(`has at most ${mostPrivateKb / 1024} MB of private memory when it is idle`, async (t) => {
    const served = await serve({}, () => {})
    t.after(() => served.close())
    const rollup = readFileSync(`/proc/${served.app.subprocessGuard.keeper}/smaps_rollup`, 'utf8')
    const field = (name: string): number => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(rollup)?.[1])
    const privateKb = field('Private_Clean') + field('Private_Dirty')
    t.diagnostic(`private memory of an idle keeper: ${(privateKb / 1024).toFixed(1)} MB`)
    assert.ok(privateKb > 0 && privateKb <= mostPrivateKb, `${privateKb} kB`)
  })
})

suite('the keeper’s socket', () => {
  test('is in a directory that no other user may enter and that is removed with the keeper', async () => {
    const served = await serve({}, () => {})
    const folder = onlyFolder()
    assert.equal(statSync(folder).mode & 0o777, 0o700)
    await served.close()
    assert.equal(existsSync(folder), false)
  })

  test('serves only the worker', async (t) => {
    const served = await serve({}, () => {})
    t.after(() => served.close())
    const path = join(onlyFolder(), 'stdio')
    const intruders = [
      'GET / HTTP/1.1\r\nhost: keeper\r\n\r\n padded to the length of a header',
      `${'0'.repeat(32)}00000001`,
      Buffer.alloc(100_000, 0xff)
    ].map((garbage) => {
      const intruder = connect(path)
      intruder.on('error', () => {})
      intruder.write(garbage)
      return new Promise((resolve) => intruder.resume().once('close', resolve))
    })
    const output = await served.inRequest((request) => text(request.spawn('echo', ['mine']).stdout as never))
    assert.equal(output, 'mine\n')
    await Promise.all(intruders)
    await assertClean(served)
  })
})
