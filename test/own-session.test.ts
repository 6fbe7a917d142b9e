/** Commands that begin a session by themselves, which who leads a process group may not (FAULTS 90). */

import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { suite, test } from 'node:test'
import { assertGone } from './harness/expectations.js'
import { commandOf, Guarded } from './harness/guarded.js'
import { closed, eventsOf, failureOf, forEachLauncher } from './harness/launchers.js'
import { statOf } from './harness/proc.js'
import { shareKeeper } from './harness/shared-keeper.js'

shareKeeper()

const stdio = ['pipe', 'pipe', 'inherit'] as const
// What it becomes says that it is there, waits to be told, and then has a status that nothing else has.
const becomes = 'echo there; read -r _; exit 3'
const hasPython = hasProgram('python3')

/** Resolves when the command has said something. */
async function said(child: ChildProcess): Promise<string> {
  const [text] = await once(child.stdout as NonNullable<ChildProcess['stdout']>, 'data')
  return String(text).trim()
}

forEachLauncher((launcher) => {
  const commands: [law: string, start: () => ChildProcess][] = [
    ['setsid(1)', () => launcher.spawn('setsid', ['sh', '-c', becomes], { stdio: [...stdio] })],
    [
      'setsid(1) as the last command of a shell',
      () => launcher.spawn(`exec setsid sh -c '${becomes}'`, { shell: true, stdio: [...stdio] })
    ],
    [
      'setsid(1) by another command',
      () => launcher.spawn('env', ['setsid', 'sh', '-c', becomes], { stdio: [...stdio] })
    ]
  ]
  for (const [law, start] of commands) {
    test(`a command that is ${law} ends with what it becomes, and with its status`, async () => {
      const child = start()
      const events = eventsOf(child)
      assert.equal(await said(child), 'there')
      assert.equal(statOf(child.pid as number)?.session, child.pid, 'it leads its session')
      child.stdin?.end('go\n')
      assert.deepEqual(
        (await events).filter(([name]) => name === 'exit'),
        [['exit', 3, null]]
      )
    })
  }

  test('exec() waits for a command that is setsid(1)', async () => {
    assert.equal((await failureOf(launcher.exec("exec setsid sh -c 'exit 3'"))).code, 3)
  })

  test('a program may begin a session by setsid(2)', {
    skip: !hasPython && 'there is no python3'
  }, async () => {
    const program = 'import os; os.setsid(); print(os.getsid(0) == os.getpid())'
    const { stdout } = await launcher.execFile('python3', ['-c', program])
    assert.equal(String(stdout), 'True\n')
  })

  test('a script alone says that it is to be setsid(1)', async () => {
    const child = launcher.spawn(...commandOf('begins-a-session.sh'), { stdio: 'ignore' })
    await closed(child)
    assert.equal(child.exitCode, launcher.does('status of a script that becomes `setsid`'))
    // Where it has forked, what it runs is not over yet.
    const { scope } = launcher
    while (scope !== undefined && (await scope.list()).length > 0);
  })
})

for (const launch of ['keeper', 'direct'] as const) {
  suite(`by ${launch}, a command that begins a session`, () => {
    test('ends with its scope, with all that it has started before and after', async (t) => {
      const guarded = await Guarded.start({ launch })
      t.after(() => guarded.close())
      const scope = guarded.guard.open()
      guarded.run(scope, 'becomes-a-session.sh', ['setsid'])
      await guarded.witness.present(3)
      const { processes, survivors } = await scope.close()
      await assertGone(guarded)
      assert.ok(processes.length >= 3)
      assert.ok(processes.every(({ ended }) => ended === 'SIGTERM'))
      assert.deepEqual(survivors, [])
    })

    test('and is released, is not ended with its scope', async (t) => {
      const guarded = await Guarded.start({ launch })
      t.after(() => guarded.close())
      const scope = guarded.guard.open()
      const child = scope.spawn('setsid', ['sh', '-c', becomes], { stdio: [...stdio] })
      assert.equal(await said(child), 'there')
      scope.release(child)
      assert.deepEqual((await scope.close()).processes, [])
      assert.equal(statOf(child.pid as number)?.session, child.pid)
      child.stdin?.end('go\n')
      await closed(child)
      assert.equal(child.exitCode, 3)
    })
  })
}

test('a command that names setsid and stays where it is may signal its group, which is nobody else’s', async (t) => {
  const guarded = await Guarded.start({ launch: 'keeper' })
  t.after(() => guarded.close())
  const scope = guarded.guard.open()
  const other = scope.spawn('sh', ['-c', becomes], { stdio: [...stdio] })
  assert.equal(await said(other), 'there')
  const child = scope.spawn('sh', ['-c', 'sleep 1000 & : setsid; kill -TERM 0; wait'], { stdio: 'ignore' })
  await closed(child)
  assert.equal(child.signalCode, 'SIGTERM')
  other.stdin?.end('go\n')
  await closed(other)
  assert.equal(other.exitCode, 3)
  // What shared its group has had the signal, too, and ends in its own time.
  while ((await scope.list()).length > 0);
})

function hasProgram(name: string): boolean {
  try {
    execFileSync(name, ['-c', ''], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
