/** What the variants of ps(1) print is read in the same way. The lists are as macOS, FreeBSD and Linux print them. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { suite, test } from 'node:test'
import type * as Environments from '../lib/platform/posix/listed-environments.js'
import type * as ParsePs from '../lib/platform/posix/parse-ps.js'
import { compiled } from './harness/compiled.js'

const { listProcesses, parseProcesses } = await compiled<typeof ParsePs>('platform/posix/parse-ps')
const { environmentIn, variableIn } = await compiled<typeof Environments>(
  'platform/posix/listed-environments'
)

const started = Date.UTC(2025, 2, 3, 10, 11, 12) / 1_000

const lists = {
  macOS: `
    1     0     1     0     0     0 Ss   Mon Mar  3 10:11:12 2025     /sbin/launchd
  412   401   412    -2    -2    -2 U    Mon Mar  3 10:11:12 2025     /usr/sbin/mDNSResponder
  501     1   501   501   501    20 S+   Mon Mar  3 10:11:12 2025     -zsh
  777   501   777   501   501    20 RNE  Mon Mar  3 10:11:12 2025     (node)
  778   501   777   501   501    20 Z    Mon Mar  3 10:11:12 2025     <defunct>
99998   501 99998     0   501    20 T    Mon Mar  3 10:11:12 2025     /opt/a b/node -e 1`,
  FreeBSD: `
    0     0     0    0    0    0 DLs  -                            [kernel]
    1     0     1    0    0    0 ILs  Mon Mar  3 10:11:12 2025     /sbin/init
  778   501   777 1001 1001 1001 Z    Mon Mar  3 10:11:12 2025     <defunct>
  501     1   501 1001 1001 1001 Is+  Mon Mar  3 10:11:12 2025     -sh (sh)`,
  Linux: `
      1       0       1     0     0     0 S Mon Mar  3 10:11:12 2025 /sbin/init splash
      2       0       0     0     0     0 S Mon Mar  3 10:11:12 2025 [kthreadd]
    778     501     777  1000  1000  1000 Z Mon Mar  3 10:11:12 2025 [sh] <defunct>
4194304       1 4194304  1000  1000  1000 t Mon Mar  3 10:11:12 2025 sleep 1000`
}

suite('a list of processes', () => {
  for (const [system, list] of Object.entries(lists)) {
    test(`of ${system} has every process`, () => {
      const lines = list.trim().split('\n')
      const processes = parseProcesses(list)
      assert.deepEqual(
        processes.map(({ pid }) => pid),
        lines.map((line) => Number.parseInt(line, 10))
      )
      for (const { pid, startTick } of processes) assert.equal(startTick, pid === 0 ? 0 : started)
    })

    test(`of ${system} shows a zombie, which is not alive and has no command line`, () => {
      const zombie = parseProcesses(list).find(({ pid }) => pid === 778)
      const { state, alive, ending, command, parent, group } = zombie ?? {}
      assert.deepEqual(
        { state, alive, ending, command, parent, group },
        { state: 'Z', alive: false, ending: true, command: '', parent: 501, group: 777 }
      )
    })
  }

  test('of macOS tells users, states and names', () => {
    const [launchd, responder, shell, exiting, , node] = parseProcesses(lists.macOS)
    assert.deepEqual([launchd?.name, launchd?.state, launchd?.user], ['launchd', 'S', 0])
    // U is D elsewhere, and the user "nobody" has a number below 0.
    assert.deepEqual([responder?.state, responder?.user, responder?.realGroup], ['D', -2, -2])
    assert.deepEqual([shell?.name, shell?.command, shell?.alive], ['zsh', '-zsh', true])
    assert.deepEqual([exiting?.name, exiting?.command, exiting?.ending], ['node', '', true])
    assert.deepEqual(
      [node?.user, node?.realUser, node?.state, node?.command],
      [0, 501, 'T', '/opt/a b/node -e 1']
    )
  })

  test('of this machine has this process, as Node tells it', () => {
    const { stdout } = spawnSync('ps', listProcesses, {
      encoding: 'utf8',
      env: { PATH: process.env.PATH, TZ: 'UTC0' }
    })
    const own = parseProcesses(stdout).find(({ pid }) => pid === process.pid)
    assert.ok(own)
    const { parent, user, realUser, realGroup, command } = own
    assert.deepEqual(
      [parent, user, realUser, realGroup],
      [process.ppid, process.geteuid?.(), process.getuid?.(), process.getgid?.()]
    )
    assert.ok(command.startsWith(process.execPath))
    const startedMs = Date.now() - process.uptime() * 1_000
    assert.ok(Math.abs(own.startTick * 1_000 - startedMs) < 2_500, `${own.startTick} is not ${startedMs}`)
  })

  test('leaves out what has another form', () => {
    assert.deepEqual(
      parseProcesses('ps: rss: requires entitlement\n\nPID TTY TIME CMD\n 12 ?? 0:00.01 sh\n'),
      []
    )
  })
})

suite('an environment', () => {
  const environment = 'PATH=/bin SUBPROCESS_GUARD_MARK=boot.0.12.34/5 HOME=/'

  test('stands behind the command line (macOS, Linux) or before it (BSD)', () => {
    assert.equal(environmentIn(`sh -c x ${environment}`, 'sh -c x'), environment)
    assert.equal(environmentIn(`${environment} sh -c x`, 'sh -c x'), environment)
  })

  test('is hidden if there is only the command line', () => {
    assert.equal(environmentIn('sh -c x', 'sh -c x'), undefined)
    // A process without arguments, or a zombie.
    assert.equal(environmentIn('[sh]', ''), undefined)
  })

  test('has the value of a variable, and not that of another one or of an argument', () => {
    const command = 'env SUBPROCESS_GUARD_MARK=other sh'
    const text = environmentIn(`${command} ${environment}`, command) ?? ''
    assert.equal(variableIn(text, 'SUBPROCESS_GUARD_MARK'), 'boot.0.12.34/5')
    assert.equal(variableIn(text, 'PATH'), '/bin')
    assert.equal(variableIn(text, 'GUARD_MARK'), undefined)
    assert.equal(variableIn(text, 'HOM'), undefined)
    assert.equal(variableIn('SUBPROCESS_GUARD_MARK= HOME=/', 'SUBPROCESS_GUARD_MARK'), '')
  })

  test('of a process that has become another program is not lost', () => {
    const text = environmentIn(`sleep 9 ${environment}`, 'sh -c x') ?? ''
    assert.equal(variableIn(text, 'SUBPROCESS_GUARD_MARK'), 'boot.0.12.34/5')
  })
})
