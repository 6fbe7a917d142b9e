/**
 * PID reuse: the process that has a pid now is never taken for the one that had it before (docs/faults.md, 28
 * and 66).
 */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type * as ExternalModule from '../lib/containment/external-processes.js'
import type * as KnownModule from '../lib/containment/known-processes.js'
import { compiled } from './harness/compiled.js'
import { patienceMs } from './harness/patience.js'

const { ExternalProcesses }: typeof ExternalModule = await compiled('containment/external-processes')
const { KnownProcesses }: typeof KnownModule = await compiled('containment/known-processes')

const [identityProgram, pidProgram] = ['reuse-main', 'number-main'].map((name) =>
  fileURLToPath(new URL(`./harness/${name}.js`, import.meta.url))
) as [string, string]
const user = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']
// Commands do not run as process 1 of the namespace, which would have to reap all others.
const inNamespace = ['--pid', '--fork', '--mount-proc', ...user, 'sh', '-c', '"$@"; exit $?', 'sh']
// The programs retry until pid and start time are the same by chance.
const longestMs = 5 * patienceMs

function run(...command: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync('unshare', [...inNamespace, ...command], { encoding: 'utf8', timeout: longestMs })
}

const canChoose = run('sh', '-c', 'echo 100 > /proc/sys/kernel/ns_last_pid').status === 0
const skip = canChoose ? false : 'no PID namespace is available here in which the next pid can be chosen'

suite('an unrelated process with the pid and start time of a former process of the scope', { skip }, () => {
  for (const scenario of ['adopted', 'direct', 'keeper']) {
    test(`lives on: ${scenario}`, (t) => {
      const { stdout, stderr } = run(process.execPath, identityProgram, scenario)
      if (stdout === 'no start time was the same\n') {
        t.skip('the machine is too busy to start two processes within 10 ms')
        return
      }
      assert.equal(stdout, 'the stranger lives\n', stderr)
    })
  }
})

suite('a pid that a process of a scope once had', { skip }, () => {
  const cases = [
    [
      'session',
      'is no proof: the daemon of an unrelated process whose session has this id lives on',
      'it lives'
    ],
    [
      'released',
      'does not release the next command with this pid: what that command leaves ends',
      'it was ended'
    ],
    [
      'released, keeper lost',
      'does not release a later command with this pid when the keeper is lost',
      'it was ended'
    ]
  ] as const
  for (const [scenario, title, expected] of cases) {
    test(title, () => {
      const { stdout, stderr } = run(process.execPath, pidProgram, scenario)
      assert.equal(stdout, `${expected}\n`, stderr)
    })
  }
})

test('a new group does not belong to the scope if it gets the pid of a process that is just being reaped', (t) => {
  // Above the highest pid of any system.
  const pid = 2 ** 22 + 7
  const known = new KnownProcesses()
  const external = new ExternalProcesses(known, undefined)
  external.adopt({ pid, startTick: 5 })
  known.addGroup(pid, { startTick: 5, session: pid })
  let questions = 0
  t.mock.method(process, 'kill', () => {
    questions++
    if (questions === 1) throw Object.assign(new Error('gone'), { code: 'ESRCH' })
    return true
  })
  external.reaped(pid)
  assert.deepEqual([...known.groups.keys()], [])
})
