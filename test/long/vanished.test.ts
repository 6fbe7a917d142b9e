/**
 * A client that vanishes without closing its connection is noticed by TCP keep-alive (docs/faults.md, 63).
 */

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const main = fileURLToPath(new URL('../harness/vanished-main.js', import.meta.url))
// Users other than root need a user namespace too.
const unshare = ['unshare', ...(process.getuid?.() === 0 ? ['-n'] : ['-rn'])] as const
const { status } = spawnSync(unshare[0], [...unshare.slice(1), 'ip', 'link', 'set', 'lo', 'up'])
const skip = status === 0 ? false : 'network namespaces are not available here'

test('nothing of a client whose packets are all lost is left after a minute, even without a deadline', {
  skip
}, () => {
  const env = { ...process.env, GONE_WITHIN_MS: '60000' }
  const output = execFileSync(unshare[0], [...unshare.slice(1), process.execPath, main], {
    env,
    encoding: 'utf8'
  })
  const ms = Number(output)
  // 30 s of silence, then ten probes, one per second.
  assert.ok(ms > 30_000 && ms < 60_000, output)
})
