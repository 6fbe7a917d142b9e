/** With `policy.noNewPrivileges` no command gets more rights than the server has, however it is started. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { createGuard, type GuardOptions, type Scope } from 'fastify-subprocess-guard'
import type * as EmulatedModule from '../lib/platform/linux/is-emulated.js'
import { compiled } from './harness/compiled.js'
import { Guarded } from './harness/guarded.js'
import { installWithoutKoffi } from './harness/without-koffi.js'

const withoutKoffi = await installWithoutKoffi()
process.once('exit', withoutKoffi.remove)

const { isEmulated }: typeof EmulatedModule = await compiled('platform/linux/is-emulated')

const nobody = 65_534
const noSetuid =
  process.getuid?.() !== 0
    ? 'only root can make a set-user-ID program of root'
    : isEmulated() && 'the kernel gives the rights of the file to the emulator only if it is registered so'
const policy = { noNewPrivileges: true }

const ways: readonly { name: string; options: GuardOptions; create?: typeof createGuard }[] = [
  { name: 'by keeper', options: {} },
  { name: 'by direct launch', options: { launch: 'direct' } },
  { name: 'without koffi', options: {}, create: withoutKoffi.createGuard }
]

/** The line of /proc/self/status, as a command sees it. */
async function seenBy(scope: Scope, line: string): Promise<string> {
  const { stdout } = await scope.exec(line)
  return stdout.trim()
}

for (const { name, options, create } of ways) {
  suite(`${name}, a command`, () => {
    test('cannot get more rights, nor can its children and daemons', async (t) => {
      const guarded = await Guarded.start({ ...options, policy }, create)
      t.after(() => guarded.close())
      await guarded.guard.run({}, async (scope) => {
        for (const before of ['', 'sh -c "', 'setsid -w sh -c "']) {
          const line = `${before}grep NoNewPrivs /proc/self/status${before === '' ? '' : '"'}`
          assert.match(await seenBy(scope, line), /^NoNewPrivs:\s+1$/, line)
        }
        const forked = scope.fork(new URL('../../test/programs/answers.mjs', import.meta.url))
        await once(forked, 'message')
        assert.match(readFileSync(`/proc/${forked.pid}/status`, 'utf8'), /^NoNewPrivs:\s+1$/m)
      })
      assert.match(readFileSync('/proc/self/status', 'utf8'), /^NoNewPrivs:\s+0$/m)
    })

    test('can without the option: the test proves something', async (t) => {
      const guarded = await Guarded.start(options, create)
      t.after(() => guarded.close())
      await guarded.guard.run({}, async (scope) => {
        assert.match(await seenBy(scope, 'grep NoNewPrivs /proc/self/status'), /^NoNewPrivs:\s+0$/)
      })
    })

    test('fails and shows as without the option', async (t) => {
      const guarded = await Guarded.start({ ...options, policy }, create)
      t.after(() => guarded.close())
      await guarded.guard.run({}, async (scope) => {
        await assert.rejects(scope.execFile('/no/such/program'), { code: 'ENOENT', path: '/no/such/program' })
        const { child } = scope.execFile('true', ['argument'])
        await once(child, 'close')
        assert.equal(child.spawnfile, 'true')
        assert.deepEqual(child.spawnargs, ['true', 'argument'])
        assert.equal(child.exitCode, 0)
      })
    })

    test('that is a set-user-ID program runs with the rights of its user', { skip: noSetuid }, async (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'setuid-'))
      t.after(() => rmSync(folder, { recursive: true }))
      chmodSync(folder, 0o755)
      const program = join(folder, 'id')
      copyFileSync('/usr/bin/id', program)
      chmodSync(program, 0o4755)
      const users: string[] = []
      for (const given of [{}, { policy }]) {
        const guarded = await Guarded.start({ ...options, ...given }, create)
        await guarded.guard.run({}, async (scope) => {
          const { stdout } = await scope.execFile(program, ['-u'], { uid: nobody, gid: nobody })
          users.push(stdout.trim())
        })
        await guarded.close()
      }
      assert.deepEqual(users, ['0', String(nobody)])
    })
  })
}

suite('the option', () => {
  test('is for the whole server', async (t) => {
    const guarded = await Guarded.start()
    t.after(() => guarded.close())
    assert.throws(() => guarded.guard.open({ policy }), {
      code: 'ERR_SUBPROCESS_OPTION',
      message: 'options.policy.noNewPrivileges is true: it is for the whole server: set it at registration'
    })
    await assert.rejects(createGuard({ policy: { noNewPrivileges: 'yes' as never } }), {
      message: 'policy.noNewPrivileges is "yes": set it to true or false'
    })
  })

  test('is the same for all guards of a worker, which share a keeper', async (t) => {
    const guarded = await Guarded.start({ policy })
    t.after(() => guarded.close())
    await assert.rejects(createGuard(), {
      code: 'ERR_SUBPROCESS_OPTION',
      message:
        'policy.noNewPrivileges is false: another guard of this worker has the other value, and they share a keeper: set both to the same'
    })
  })

  test('needs koffi or setpriv(1), and registration fails without both', async (t) => {
    const { PATH } = process.env
    t.after(() => Object.assign(process.env, { PATH }))
    process.env.PATH = '/no/such/folder'
    const guard = await createGuard({ policy })
    t.after(() => guard.close())
    const scope = guard.open({ timeout: false })
    const { stdout } = await scope.execFile('/bin/grep', ['NoNewPrivs', '/proc/self/status'])
    assert.match(stdout, /^NoNewPrivs:\s+1$/m)
    assert.throws(() => scope.fork('no such module'), {
      code: 'ENOTSUP',
      message: /: with policy\.noNewPrivileges, a direct launch needs setpriv\(1\), which was not found$/
    })
    await assert.rejects(withoutKoffi.createGuard({ policy }), {
      code: 'ERR_SUBPROCESS_KEEPER_START',
      message: /policy\.noNewPrivileges cannot be had here: install the optional dependency koffi, or setpriv/
    })
  })

  test('holds for the keeper that replaces a lost one', async (t) => {
    const guarded = await Guarded.start({ policy })
    t.after(() => guarded.close())
    const { keeper } = guarded.guard
    const scope = guarded.guard.open()
    process.kill(keeper, 'SIGKILL')
    await scope.closed
    await guarded.guard.run({}, async (next) => {
      assert.match(await seenBy(next, 'grep NoNewPrivs /proc/self/status'), /^NoNewPrivs:\s+1$/)
    })
  })
})
