/** Numbers of processes are reused: whoever has one now is not the one who had it (FAULTS 28). */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { patienceMs } from './harness/patience.js'

const program = fileURLToPath(new URL('./harness/reuse-main.js', import.meta.url))
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
