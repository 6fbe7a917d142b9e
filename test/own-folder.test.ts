/**
 * Other users and other machines cannot disturb a sweep or the directories that servers use (docs/faults.md,
 * 67 and 68).
 */

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'
import { eventually } from './harness/expectations.js'
import { markOf, markOfProcess, startMarked } from './harness/marked.js'
import { isRoot, noNewPlaces, runMainInNewPlaces } from './harness/new-places.js'
import { whyNoOther } from './harness/no-room.js'
import { environmentOf, lives } from './harness/proc.js'
import { sweep } from './harness/sweeper.js'
import { Worker } from './harness/worker.js'

const nobody = 65_534
const noOtherUser = isRoot ? (whyNoOther() ?? false) : 'only root can start processes of another user'
const ownFolderName = 'subprocess-guard-0'
const folder = mkdtempSync(join(tmpdir(), 'own-'))
chmodSync(folder, 0o755)
after(() => rmSync(folder, { recursive: true }))

const runScenario = <Printed>(prepare: string, scenario: string): Printed =>
  runMainInNewPlaces(prepare, 'lock-main.js', scenario)
const readOnly =
  'mount -t tmpfs -o ro none /tmp/own; for p in /tmp /dev/shm; do mount -o remount,bind,ro $p; done'

suite('the lock of the sweep', { skip: noNewPlaces }, () => {
  for (const [where, prepare] of [
    ['', ''],
    [
      ' also where another user made its directory first',
      `mkdir /dev/shm/${ownFolderName} /tmp/${ownFolderName}; ${isRoot ? 'chown 1' : 'chmod 777'} /dev/shm/${ownFolderName} /tmp/${ownFolderName}`
    ],
    [
      ' also where only TMPDIR is writable',
      'mount -t tmpfs none /tmp/own; for p in /tmp /dev/shm; do mount -o remount,bind,ro $p; done'
    ]
  ] as const) {
    test(`is held by one at a time${where}`, () => {
      assert.deepEqual(runScenario(prepare, 'one at a time'), [1, 2])
    })
  }

  test('can be taken over from a killed holder, and is removed when it is released', () => {
    assert.deepEqual(runScenario('', 'the first one is killed'), [1, 1, 0])
  })

  test('is separate for each realm', () => {
    assert.equal(runScenario('', 'two realms'), true)
  })

  test('is not waited for where it cannot be created', () => {
    assert.equal(runScenario(readOnly, 'two at once'), true)
  })
})

suite('another user', { skip: noOtherUser }, () => {
  const setuid = join(folder, 'setuid')
  copyFileSync(process.execPath, setuid)
  chmodSync(setuid, 0o4755)
  const asNobody = { uid: nobody, gid: nobody } as const
  const rights = spawnSync(setuid, ['--print', 'process.geteuid()'], { ...asNobody, encoding: 'utf8' })
  const noSetuid = rights.stdout?.trim() === '0' ? false : 'TMPDIR is mounted with nosuid'

  test('that holds the name of the lock of version 0.1.0 is not waited for', async (t) => {
    const namespace = readlinkSync('/proc/self/ns/pid').replace(/\D/g, '')
    const realm = process.env.SUBPROCESS_GUARD_REALM ?? ''
    let connections = 0
    const squatter = createServer(() => void connections++)
    squatter.listen(`\0fastify-subprocess-guard-sweep-0-${namespace}-${realm}`)
    await once(squatter, 'listening')
    t.after(() => squatter.close())
    const left = await startMarked(t, markOf())
    const swept = sweep()
    // A sweep of version 0.1.0 would wait until then.
    squatter.once('connection', () => squatter.close())
    await swept
    assert.ok(!lives(left.pid))
    assert.equal(connections, 0)
  })

  for (const [state, program, users] of [
    ['keeps its own real user', 'setInterval(() => {}, 1000)', '65534 0'],
    [
      'takes on all rights of root',
      'process.setgid(0); process.setuid(0); setInterval(() => {}, 1000)',
      '0 0'
    ]
  ] as const) {
    for (const variable of ['SUBPROCESS_GUARD_KEEPER', 'SUBPROCESS_GUARD_MARK']) {
      test(`cannot shield leftovers with a setuid program that ${state}, with ${variable}`, {
        skip: noSetuid
      }, async (t) => {
        const left = await startMarked(t, markOf())
        // The mark claims that the leftover is itself a living worker.
        const mark = markOfProcess(left.pid as number)
        const value = variable.endsWith('MARK') ? mark : (mark.split('/')[0] as string)
        const options = { env: { [variable]: value }, ...asNobody, stdio: 'ignore' } as const
        const shield = spawn(setuid, ['--eval', program], options)
        t.after(() => shield.kill('SIGKILL'))
        await once(shield, 'spawn')
        const { pid } = shield
        await eventually('the program has its rights', () => usersOf(pid as number) === users)
        await eventually('the program runs', () =>
          environmentOf(pid as number).includes(`${variable}=${value}`)
        )
        const { processes } = await sweep()
        assert.ok(processes.some((process) => process.pid === left.pid))
        assert.ok(!lives(left.pid))
      })
    }
  }
})

suite('a sweep where TMPDIR is shared', { skip: noNewPlaces }, () => {
  /** A command prefix that runs a command with another boot id, as on another machine. */
  const onOtherMachine = [
    ...['unshare', '--mount', ...(isRoot ? [] : ['--user', '--map-root-user']), 'sh', '-c'],
    `mount --bind ${join(folder, 'boot-id')} /proc/sys/kernel/random/boot_id && exec "$@"`,
    'sh'
  ]
  writeFileSync(join(folder, 'boot-id'), '00000000-0000-4000-8000-000000000000\n')

  test('leaves the directories of another machine or boot and removes those of its own', async (t) => {
    const worker = await Worker.start({ options: { privateTmp: true } })
    t.after(() => worker.close())
    await worker.withScope('temp-dir')
    await worker.witness.present(1)
    const env = { TMPDIR: worker.temporaryFolder }
    const before = worker.temporaryFiles()
    assert.equal(before.length, 3)
    await worker.loseBoth()
    await sweep({ wrapper: onOtherMachine, env })
    assert.deepEqual(worker.temporaryFiles(), before)
    await sweep({ env })
    assert.deepEqual(worker.temporaryFiles(), [])
  })

  test('leaves the records of another machine or boot, so that the processes released there live on', async (t) => {
    const worker = await Worker.start()
    t.after(() => worker.close())
    await worker.withScope('release-adopted')
    await worker.witness.present(2)
    await worker.loseBoth()
    await sweep({ wrapper: onOtherMachine })
    await sweep()
    assert.deepEqual(
      worker.witness
        .living()
        .map(({ name }) => name)
        .sort(),
      ['child', 'shell']
    )
  })

  test('leaves directories that are named as in version 0.1.0', async () => {
    const place = mkdtempSync(join(folder, 'old-'))
    const namespace = Number(readlinkSync('/proc/self/ns/pid').replace(/\D/g, '')).toString(36)
    const names = [`subprocess-${namespace}_2yyio_1_abcdef`, `subprocess-guard-${namespace}_2yyio_1_abcdef`]
    for (const name of names) mkdirSync(join(place, name))
    await sweep({ env: { TMPDIR: place } })
    assert.deepEqual(readdirSync(place).sort(), names.sort())
  })

  test('leaves the directory of a scope that is in use by a server that was started there', async (t) => {
    const worker = await Worker.start({ options: { privateTmp: true } })
    t.after(() => worker.close())
    await worker.withScope('temp-dir')
    await worker.witness.present(1)
    const [tmp] = worker.witness
      .living()
      .flatMap(({ pid }) => environmentOf(pid))
      .filter(isTmp)
    assert.ok(tmp?.includes('/subprocess-'), tmp)
    const mark = environmentOf(worker.witness.announced[0]?.pid as number)
      .find(isMark)
      ?.split('=')[1]
    // Stands for the server that a supervisor restarts: in its own session, but it serves nobody.
    const server = await startMarked(t, mark as string)
    await worker.loseBoth()
    await sweep({ dryRun: true })
    const heir = await Worker.start({
      env: { SUBPROCESS_GUARD_MARK: mark, TMPDIR: tmp?.split('=')[1] }
    })
    t.after(() => heir.close())
    await eventually('it has swept', () => heir.errors.includes('leftovers of dead workers'))
    assert.ok(existsSync(tmp?.split('=')[1] as string))
    assert.ok(!lives(server.pid))
  })
})

function isTmp(entry: string): boolean {
  return entry.startsWith('TMPDIR=')
}

function isMark(entry: string): boolean {
  return entry.startsWith('SUBPROCESS_GUARD_MARK=')
}

/** The real and the effective user of a process. */
function usersOf(pid: number): string | undefined {
  return /^Uid:\s+(\d+)\s+(\d+)/m
    .exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
    ?.slice(1)
    .join(' ')
}
