/**
 * A process that cannot be ended does not hold up the keeper, which reports it as a survivor (docs/faults.md,
 * 29).
 */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Worker } from './harness/worker.js'

const nobody = 65_534

const folder = mkdtempSync(join(tmpdir(), 'survivor-'))
after(() => rmSync(folder, { recursive: true }))
const asRoot = join(folder, 'as-root')

/** Why no process can be made here that its keeper may not signal; undefined where it can. */
function whyNot(): string | undefined {
  if (process.getuid?.() !== 0) return 'only root can make a setuid program that runs as root'
  const setpriv = spawnSync('sh', ['-c', 'command -v setpriv'], { encoding: 'utf8' }).stdout.trim()
  if (setpriv === '') return 'setpriv(1) of util-linux is missing'
  copyFileSync(setpriv, asRoot)
  chmodSync(asRoot, 0o4755)
  chmodSync(folder, 0o755)
  const user = { uid: nobody, gid: nobody }
  if (spawnSync(asRoot, ['--reuid=0', '--regid=0', '--clear-groups', 'true'], user).status !== 0)
    return 'the set-user-ID bit has no effect here'
  const entry = fileURLToPath(new URL('./harness/worker-main.js', import.meta.url))
  if (spawnSync('test', ['-r', entry], user).status !== 0) return 'other users cannot read the tests'
  return undefined
}

suite('a process that its keeper may not signal', { skip: whyNot() ?? false }, () => {
  test('is reported as a survivor, and the keeper still exits', async (t) => {
    const worker = await Worker.start({ user: nobody, env: { AS_ROOT: asRoot } })
    t.after(() => worker.close())
    worker.run('privileged.sh')
    worker.run('waits.sh')
    await worker.witness.present(2)
    worker.kill('SIGKILL')
    await worker.dead()
    await worker.keeperDead()
    const [line] = await worker.keeperLines()
    const [survivor, ...others] = line?.processes ?? []
    assert.match(line?.msg ?? '', /ended 1 processes, 1 survived$/)
    assert.deepEqual(
      worker.witness.living().map(({ pid }) => pid),
      [survivor?.pid]
    )
    assert.equal(survivor?.ended, 'survived')
    assert.match(survivor?.why ?? '', /EPERM/)
    assert.match(survivor?.command ?? '', /sleep 1000/)
    assert.deepEqual(
      others.map(({ ended }) => ended),
      ['SIGTERM']
    )
  })
})
