/** Machines on which the keeper cannot start, or that lack what others have (FAULTS 43 and 46). */

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'
import { ask } from './harness/client.js'
import { assertGone } from './harness/expectations.js'
import { runNoRoom, whyNoLimit, whyNoOther } from './harness/no-room.js'
import { goneMs } from './harness/server.js'
import { installWithoutKoffi } from './harness/without-koffi.js'
import { Worker, type WorkerSetup } from './harness/worker.js'

const nobody = 65_534
const isRoot = process.getuid?.() === 0
// Short names: the path of a socket has 107 bytes at most.
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

/** Runs a worker in a mount namespace of its own, after a script that changes what is mounted there. */
function mounted(script: string, then = '"$@"'): string[] {
  const user = isRoot ? [] : ['--user', '--map-root-user']
  return ['unshare', '--mount', ...user, 'sh', '-c', `${script} && exec ${then}`, 'sh']
}

/** Whether a script may change what is mounted in such a namespace. */
function canMount(script: string): boolean {
  const [command, ...args] = mounted(script, 'true') as [string, ...string[]]
  return spawnSync(command, args).status === 0
}

const noMounts = canMount('mount -t tmpfs tmpfs /mnt') ? false : 'no mount namespace can be had here'
// The worker's own folder for temporary files, so that the test keeps its.
const withReadOnlyTmp = mounted('mount -t tmpfs -o ro tmpfs "$TMPDIR"')
// No `ps` either. Where nothing can be mounted, that alone.
const onBareMachine = noMounts === false ? [...withReadOnlyTmp, 'env', pathWithoutPs] : ['env', pathWithoutPs]
// Each sees the processes of its own user alone.
const hideOthers = 'mount -t proc -o hidepid=2 proc /proc'
const withHidepid = mounted(hideOthers, `setpriv --reuid=${nobody} --regid=${nobody} --clear-groups "$@"`)
const noHiding =
  isRoot && canMount(hideOthers) ? (whyNoOther() ?? false) : 'only root can mount /proc anew, with hidepid'

/** Starts a worker with daemons and all, kills it, and proves that nothing is left. */
async function assertGuards(setup: WorkerSetup, containment = 'subreaper'): Promise<void> {
  const worker = await Worker.start(setup)
  try {
    // By the keeper's socket.
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

/** Asserts that registration fails with the error of a keeper that cannot start, and that this was said. */
async function assertNoStart(setup: WorkerSetup, said: RegExp): Promise<void> {
  const started = Worker.start(setup)
  started.then((worker) => worker.close()).catch(() => {})
  await assert.rejects(started, ({ message }: Error) => {
    assert.match(message, /ERR_SUBPROCESS_KEEPER_START/)
    assert.match(message, said)
    return true
  })
}

for (const launch of ['keeper', 'direct'] as const) {
  suite(`a keeper that cannot start, launch: ${launch}`, () => {
    test('for want of room for a process is an error at registration', {
      skip: whyNoLimit() ?? false
    }, () => {
      const { error } = runNoRoom('start', launch)
      assert.equal(error?.code, 'ERR_SUBPROCESS_KEEPER_START')
      assert.match(error?.message ?? '', /EAGAIN: there is no room for another process; raise the limit/)
      assert.match(error?.cause ?? '', /EAGAIN/)
    })

    test('for want of a folder for its socket is an error at registration, and its way out is told', {
      skip: noMounts
    }, async () => {
      const within = mounted('mount -t tmpfs -o ro tmpfs /dev/shm')
      const env = { TMPDIR: missing, XDG_RUNTIME_DIR: missing }
      await assertNoStart({ launch, within, env }, /no private folder.*EROFS.*set TMPDIR to a writable one/)
    })
  })
}

suite('a folder for the keeper’s socket', () => {
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
    const within = mounted('mount -t tmpfs -o nr_inodes=2 tmpfs "$TMPDIR"')
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
    // Not sticky, as a mounted volume of a container.
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
      await assertGuards({ env })
    })
  }
})

for (const [containment, launch, env] of [
  ['subreaper', 'keeper', {}],
  ['subreaper', 'direct', {}],
  ['marks', 'keeper', { GUARD_PACKAGE: withoutKoffi.url }]
] as const) {
  suite(`a worker that is killed, containment "${containment}", launch: ${launch}`, () => {
    test('leaves nothing where there is no ps in PATH and the folder for temporary files is read-only', async () => {
      await assertGuards({ launch, within: onBareMachine, env }, containment)
    })

    // It cannot see its own parent there, which is root's.
    test('leaves nothing where /proc hides the processes of others (hidepid)', {
      skip: noHiding
    }, async () => {
      await assertGuards({ launch, user: nobody, within: withHidepid, env }, containment)
    })
  })
}

suite('a worker without the guard that is killed', () => {
  for (const [where, setup, skip] of [
    [
      'there is no ps in PATH and the folder for temporary files is read-only',
      { within: onBareMachine },
      false
    ],
    ['/proc hides the processes of others', { user: nobody, within: withHidepid }, noHiding]
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

/** A PATH with what the test's programs need and nothing else. */
function makePathWithoutPs(): string {
  const path = join(folder, 'path')
  mkdirSync(path)
  for (const name of ['sh', 'sleep', 'setsid', 'echo']) {
    const found = execFileSync('sh', ['-c', 'PATH=/usr/bin:/bin; which "$0"', name], { encoding: 'utf8' })
    symlinkSync(found.trim(), join(path, name))
  }
  return path
}
