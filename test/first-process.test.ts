/** A worker works as PID 1, as in a container without an init, and warns (fault 40 in docs/faults.md). */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const program = fileURLToPath(new URL('./harness/first-process-main.js', import.meta.url))
const user = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']
const inNamespace = ['--pid', '--fork', '--kill-child', '--mount-proc', ...user]

function run(...command: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync('unshare', [...inNamespace, ...command], { encoding: 'utf8', timeout: 60_000 })
}

const skip = run('true').status === 0 ? false : 'this user cannot create a PID namespace'

suite('a worker that is PID 1', { skip }, () => {
  test('ends what its scopes have started, and warns once that an init is missing', () => {
    const { stdout, stderr } = run(process.execPath, program)
    assert.notEqual(stdout, '', stderr)
    const { pid, warnings, before, output, left, zombies } = JSON.parse(stdout)
    assert.equal(pid, 1)
    assert.ok(before >= 3, `${before}`)
    assert.equal(output, 'it serves\n')
    assert.deepEqual([left, zombies], [[], 0])
    const aboutInit = warnings.filter((warning: string) => warning.includes('docker run --init'))
    assert.equal(aboutInit.length, 1, warnings.join('\n'))
  })
})
