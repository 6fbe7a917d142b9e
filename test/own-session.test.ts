/**
 * Commands that begin a session of their own. The leader of a process group may not call setsid(2), so such a
 * command must not lead a group (docs/faults.md, 90).
 */

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
// The program that setsid(1) executes: prints a line, waits for input, and exits with a status that nothing
// else has.
const nextProgram = 'echo there; read -r _; exit 3'
const hasPython = hasProgram('python3')

/** Resolves to the first output of the command. */
async function firstOutput(child: ChildProcess): Promise<string> {
  const [text] = await once(child.stdout as NonNullable<ChildProcess['stdout']>, 'data')
  return String(text).trim()
}

forEachLauncher((launcher) => {
  const commands: [name: string, start: () => ChildProcess][] = [
    ['setsid(1)', () => launcher.spawn('setsid', ['sh', '-c', nextProgram], { stdio: [...stdio] })],
    [
      'setsid(1) as the last command of a shell',
      () => launcher.spawn(`exec setsid sh -c '${nextProgram}'`, { shell: true, stdio: [...stdio] })
    ],
    [
      'setsid(1) by another command',
      () => launcher.spawn('env', ['setsid', 'sh', '-c', nextProgram], { stdio: [...stdio] })
    ]
  ]
  for (const [name, start] of commands) {
    test(`a command that is ${name} ends when the program that it executes ends, with the same exit status`, async () => {
      const child = start()
      const events = eventsOf(child)
      assert.equal(await firstOutput(child), 'there')
      assert.equal(statOf(child.pid as number)?.session, child.pid, 'the command leads its session')
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

  test('a script that executes setsid(1) is not recognized, since its command line does not show it', async () => {
    const child = launcher.spawn(...commandOf('begins-a-session.sh'), { stdio: 'ignore' })
    await closed(child)
    assert.equal(child.exitCode, launcher.does('status of a script that becomes `setsid`'))
    // Where setsid(1) has forked, the program that it runs has not exited yet.
    const { scope } = launcher
    while (scope !== undefined && (await scope.list()).length > 0);
  })
})

for (const launch of ['keeper', 'direct'] as const) {
  suite(`a command that begins a session, launch: ${launch}`, () => {
    test('ends with its scope, and so does all that it started before and after', async (t) => {
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

    test('outlives its scope when it is released', async (t) => {
      const guarded = await Guarded.start({ launch })
      t.after(() => guarded.close())
      const scope = guarded.guard.open()
      const child = scope.spawn('setsid', ['sh', '-c', nextProgram], { stdio: [...stdio] })
      assert.equal(await firstOutput(child), 'there')
      scope.release(child)
      assert.deepEqual((await scope.close()).processes, [])
      assert.equal(statOf(child.pid as number)?.session, child.pid)
      child.stdin?.end('go\n')
      await closed(child)
      assert.equal(child.exitCode, 3)
    })
  })
}

test('a command that names setsid but does not run it can signal its group, which contains no other command', async (t) => {
  const guarded = await Guarded.start({ launch: 'keeper' })
  t.after(() => guarded.close())
  const scope = guarded.guard.open()
  const other = scope.spawn('sh', ['-c', nextProgram], { stdio: [...stdio] })
  assert.equal(await firstOutput(other), 'there')
  const child = scope.spawn('sh', ['-c', 'sleep 1000 & : setsid; kill -TERM 0; wait'], { stdio: 'ignore' })
  await closed(child)
  assert.equal(child.signalCode, 'SIGTERM')
  other.stdin?.end('go\n')
  await closed(other)
  assert.equal(other.exitCode, 3)
  // Its background child got the signal too, and needs a moment to end.
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
