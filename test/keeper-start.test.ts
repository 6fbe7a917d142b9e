/**
 * Machines where the keeper cannot start, or where `ps`, a writable directory or parts of /proc are missing
 * (docs/faults.md, 43 and 46).
 */

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'
import { ask } from './harness/client.js'
import { assertGone } from './harness/expectations.js'
import { bestLevel, levelWithoutKoffi } from './harness/level.js'
import { runNoRoom, whyNoLimit, whyNoOther } from './harness/no-room.js'
import { goneMs } from './harness/server.js'
import { installWithoutKoffi } from './harness/without-koffi.js'
import { Worker, type WorkerSetup } from './harness/worker.js'

const nobody = 65_534
const isRoot = process.getuid?.() === 0
// Short names: the path of a Unix socket is limited to 107 bytes (unix(7)).
const folder = mkdtempSync(join(tmpdir(), 'ks-'))
const withoutKoffi = await installWithoutKoffi()
after(() => {
  rmSync(folder, { recursive: true })
  withoutKoffi.remove()
})
const programs = ['waits.sh', 'daemon.sh', 'tree-ignores-term.sh']
const processCount = 1 + 2 + 4
const missing = join(folder, 'missing')
const pathWithoutPs = `PATH=${makePathWithoutPs()}`

/**
 * A command prefix that runs a worker in its own mount namespace, after a script has changed the mounts
 * there.
 */
function inMountNamespace(script: string, then = '"$@"'): string[] {
  const user = isRoot ? [] : ['--user', '--map-root-user']
  return ['unshare', '--mount', ...user, 'sh', '-c', `${script} && exec ${then}`, 'sh']
}

/** Whether this machine lets a script change the mounts of such a namespace. */
function canMount(script: string): boolean {
  const [command, ...args] = inMountNamespace(script, 'true') as [string, ...string[]]
  return spawnSync(command, args).status === 0
}

const noMounts = canMount('mount -t tmpfs tmpfs /mnt') ? false : 'mount namespaces are not available here'
// In the namespace of the worker alone: the test can still write to its TMPDIR.
const withReadOnlyTmp = inMountNamespace('mount -t tmpfs -o ro tmpfs "$TMPDIR"')
// Without `ps` in PATH, and with a read-only TMPDIR where mounting is possible.
const onBareMachine = noMounts === false ? [...withReadOnlyTmp, 'env', pathWithoutPs] : ['env', pathWithoutPs]
// Each user sees only its own processes.
const mountHidepid = 'mount -t proc -o hidepid=2 proc /proc'
const withHidepid = inMountNamespace(
  mountHidepid,
  `setpriv --reuid=${nobody} --regid=${nobody} --clear-groups "$@"`
)
const noHiding =
  isRoot && canMount(mountHidepid) ? (whyNoOther() ?? false) : 'only root can mount /proc with hidepid'

/** Starts a worker with several kinds of commands, kills it, and asserts that nothing is left. */
async function assertNothingLeft(setup: WorkerSetup, containment: string = bestLevel): Promise<void> {
  const worker = await Worker.start(setup)
  try {
    // This answer needs the keeper's socket.
    assert.equal((await ask(worker.port, '/echo').answer).body, `${containment}\n`)
    for (const program of programs) worker.run(program)
    await worker.witness.present(processCount)
    worker.kill('SIGKILL')
    await worker.dead()
    await assertGone(worker)
    await worker.keeperDead()
    assert.deepEqual(worker.witness.heirs(), [])
    const [line] = await worker.keeperLines()
    assert.equal(line?.processes.length, processCount)
  } finally {
    worker.close()
  }
}

/** Asserts that registration fails because the keeper cannot start, with this explanation. */
async function assertStartFails(setup: WorkerSetup, explanation: RegExp): Promise<void> {
  const started = Worker.start(setup)
  started.then((worker) => worker.close()).catch(() => {})
  await assert.rejects(started, ({ message }: Error) => {
    assert.match(message, /ERR_SUBPROCESS_KEEPER_START/)
    assert.match(message, explanation)
    return true
  })
}

for (const launch of ['keeper', 'direct'] as const) {
  suite(`a keeper that cannot start, launch: ${launch}`, () => {
    test('because no process can be created is an error at registration', {
      skip: whyNoLimit() ?? false
    }, () => {
      const { error } = runNoRoom('start', launch)
      assert.equal(error?.code, 'ERR_SUBPROCESS_KEEPER_START')
      assert.match(error?.message ?? '', /EAGAIN: there is no room for another process; raise the limit/)
      assert.match(error?.cause ?? '', /EAGAIN/)
    })

    test('because its socket has no directory is an error at registration that tells the way out', {
      skip: noMounts
    }, async () => {
      const within = inMountNamespace('mount -t tmpfs -o ro tmpfs /dev/shm')
      const env = { TMPDIR: missing, XDG_RUNTIME_DIR: missing }
      await assertStartFails(
        { launch, within, env },
        /no private folder.*EROFS.*set TMPDIR to a writable one/
      )
    })
  })
}

suite('a directory for the keeper’s socket', () => {
  test('that is read-only is not used where there is another one', { skip: noMounts }, async () => {
    const runtime = join(folder, 'run')
    mkdirSync(runtime)
    const worker = await Worker.start({ within: withReadOnlyTmp, env: { XDG_RUNTIME_DIR: runtime } })
    try {
      assert.match(readdirSync(runtime).join(), /^subprocess-guard-\w+$/)
      worker.run('daemon.sh')
      await worker.witness.present(2)
      worker.kill('SIGKILL')
      await worker.keeperDead()
      assert.deepEqual(readdirSync(runtime), [])
    } finally {
      worker.close()
    }
  })

  test('that has no room for a socket is not used where there is another one', {
    skip: noMounts
  }, async () => {
    const within = inMountNamespace('mount -t tmpfs -o nr_inodes=2 tmpfs "$TMPDIR"')
    const runtime = join(folder, 'run-2')
    mkdirSync(runtime, { mode: 0o700 })
    const worker = await Worker.start({ within, env: { XDG_RUNTIME_DIR: runtime } })
    try {
      assert.equal((await ask(worker.port, '/echo').answer).status, 200)
      assert.match(readdirSync(runtime).join(), /^subprocess-guard-\w+$/)
    } finally {
      worker.kill('SIGKILL')
      await worker.keeperDead()
      worker.close()
    }
  })

  test('in which other users may rename it is not used where there is another one', async () => {
    const [open, runtime] = [join(folder, 'open'), join(folder, 'run-3')]
    mkdirSync(open)
    // Without the sticky bit, like a volume mounted into a container.
    chmodSync(open, 0o777)
    mkdirSync(runtime, { mode: 0o700 })
    const worker = await Worker.start({ env: { TMPDIR: open, XDG_RUNTIME_DIR: runtime } })
    try {
      assert.deepEqual(readdirSync(open), [])
      assert.match(readdirSync(runtime).join(), /^subprocess-guard-\w+$/)
    } finally {
      worker.kill('SIGKILL')
      await worker.keeperDead()
      worker.close()
    }
  })

  for (const [what, env] of [
    ['that is missing, or whose path is relative,', { TMPDIR: missing, XDG_RUNTIME_DIR: 'relative' }],
    [
      'whose path is too long for a socket, or empty,',
      { TMPDIR: join(folder, 'x'.repeat(120)), XDG_RUNTIME_DIR: '' }
    ]
  ] as const) {
    test(`${what} is not used where there is another one`, async () => {
      await assertNothingLeft({ env })
    })
  }
})

for (const [containment, launch, env, levelOfOthers] of [
  [bestLevel, 'keeper', {}, 'subreaper'],
  [bestLevel, 'direct', {}, 'subreaper'],
  [levelWithoutKoffi, 'keeper', { GUARD_PACKAGE: withoutKoffi.url }, 'marks']
] as const) {
  suite(`a worker that is killed, containment "${containment}", launch: ${launch}`, () => {
    test('leaves nothing where PATH has no ps and TMPDIR is read-only', async () => {
      await assertNothingLeft({ launch, within: onBareMachine, env }, containment)
    })

    // The worker cannot even see its own parent there, which runs as root.
    test('leaves nothing where /proc hides the processes of other users (hidepid)', {
      skip: noHiding
    }, async () => {
      await assertNothingLeft({ launch, user: nobody, within: withHidepid, env }, levelOfOthers)
    })
  })
}

suite('a worker without the guard that is killed', () => {
  for (const [where, setup, skip] of [
    ['PATH has no ps and TMPDIR is read-only', { within: onBareMachine }, false],
    ['/proc hides the processes of other users', { user: nobody, within: withHidepid }, noHiding]
  ] as const) {
    test(`leaves everything where ${where}`, { skip }, async (t) => {
      const worker = await Worker.start({ guard: false, ...setup })
      t.after(() => worker.close())
      for (const program of programs) worker.run(program)
      await worker.witness.present(processCount)
      worker.kill('SIGKILL')
      await worker.dead()
      assert.equal(await worker.witness.goneWithin(goneMs), false)
      assert.equal(worker.witness.living().length, processCount)
    })
  }
})

/** Makes a directory with only those commands that the test programs need, to be used as PATH. */
function makePathWithoutPs(): string {
  const path = join(folder, 'path')
  mkdirSync(path)
  for (const name of ['sh', 'sleep', 'setsid', 'echo']) {
    const found = execFileSync('sh', ['-c', 'PATH=/usr/bin:/bin; which "$0"', name], { encoding: 'utf8' })
    symlinkSync(found.trim(), join(path, name))
  }
  return path
}
