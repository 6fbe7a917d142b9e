/** Numbers of processes are reused: whoever has one now is not the one who had it (FAULTS 28 and 66). */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { patienceMs } from './harness/patience.js'

const [program, numbers] = ['reuse-main', 'number-main'].map((name) =>
  fileURLToPath(new URL(`./harness/${name}.js`, import.meta.url))
) as [string, string]
const user = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']
// Not as its first process, which would have to reap all others.
const inNamespace = ['--pid', '--fork', '--mount-proc', ...user, 'sh', '-c', '"$@"; exit $?', 'sh']
// It tries until both agree, by chance.
const longestMs = 5 * patienceMs

function run(...command: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync('unshare', [...inNamespace, ...command], { encoding: 'utf8', timeout: longestMs })
}

const canChoose = run('sh', '-c', 'echo 100 > /proc/sys/kernel/ns_last_pid').status === 0
const skip = canChoose ? false : 'no PID namespace with a next number to choose can be had here'

suite('a stranger with the number and the start time of a former process of the scope', { skip }, () => {
  for (const how of ['adopted', 'direct', 'keeper']) {
    test(`lives: ${how}`, () => {
      const { stdout, stderr } = run(process.execPath, program, how)
      assert.equal(stdout, 'the stranger lives\n', stderr)
    })
  }
})

suite('a number that a process of a scope once had', { skip }, () => {
  const laws = [
    ['session', 'is no proof: the daemon of a stranger who has it for a session lives', 'it lives'],
    ['released', 'does not release the command that has it next: what that leaves ends', 'it was ended'],
    [
      'released, keeper lost',
      'does not release a later command of a scope whose keeper is lost',
      'it was ended'
    ]
  ] as const
  for (const [how, law, said] of laws) {
    test(law, () => {
      const { stdout, stderr } = run(process.execPath, numbers, how)
      assert.equal(stdout, `${said}\n`, stderr)
    })
  }
})
