/** A client that vanishes without a word is noticed by TCP keep-alive (FAULTS 63). */

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const main = fileURLToPath(new URL('../harness/vanished-main.js', import.meta.url))
// Users other than root need a user namespace around it.
const unshare = ['unshare', ...(process.getuid?.() === 0 ? ['-n'] : ['-rn'])] as const
const { status } = spawnSync(unshare[0], [...unshare.slice(1), 'ip', 'link', 'set', 'lo', 'up'])
const skip = status === 0 ? false : 'no network namespace can be made here'

test('a client whose packets are all lost has nothing left a minute later, without any deadline', {
  skip
}, () => {
  const env = { ...process.env, GONE_WITHIN_MS: '60000' }
  const said = execFileSync(unshare[0], [...unshare.slice(1), process.execPath, main], {
    env,
    encoding: 'utf8'
  })
  const ms = Number(said)
  // 30 s of silence, then ten probes a second apart.
  assert.ok(ms > 30_000 && ms < 60_000, said)
})
