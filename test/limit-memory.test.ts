/**
 * Where a cgroup has the memory controller, the kernel stops a scope that is faster than the looks. Few machines give it
 * to tests: these write to plain files in its place.
 */

import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import type * as RecordModule from '../lib/containment/scope-record.js'
import type * as WatchModule from '../lib/keeper/limit-watch.js'
import type * as LimitModule from '../lib/platform/linux/cgroup/limit-memory.js'
import type { ExceededLimit } from '../lib/scope-limits.js'
import { compiled } from './harness/compiled.js'

const { limitMemory, exhaustedMemoryOf }: typeof LimitModule = await compiled(
  'platform/linux/cgroup/limit-memory'
)
const { LimitWatch }: typeof WatchModule = await compiled('keeper/limit-watch')
const { ScopeRecord }: typeof RecordModule = await compiled('containment/scope-record')

function folderWith(t: TestContext, files: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), 'cgroup-'))
  t.after(() => rmSync(folder, { recursive: true }))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  return folder
}

suite('the memory of a cgroup', () => {
  test('is limited for all of its processes together', (t) => {
    const folder = folderWith(t, { 'memory.max': '', 'memory.oom.group': '' })
    limitMemory(folder, 5e8)
    assert.equal(readFileSync(join(folder, 'memory.max'), 'utf8'), '500000000')
    assert.equal(readFileSync(join(folder, 'memory.oom.group'), 'utf8'), '1')
  })

  test('is not limited without the controller, and that is no error', (t) => {
    const folder = folderWith(t, {})
    limitMemory(folder, 5e8)
    assert.equal(existsSync(join(folder, 'memory.max')), false)
    assert.equal(exhaustedMemoryOf(folder), undefined)
  })

  test('is exhausted when the kernel has killed a process for it', (t) => {
    const exhausted = (oom: number, kills: number): number | undefined =>
      exhaustedMemoryOf(
        folderWith(t, {
          'memory.events': `low 0\nhigh 0\nmax 12\noom 1\noom_kill ${kills}\noom_group_kill 0\n`,
          'memory.events.local': `low 0\nhigh 0\nmax 12\noom ${oom}\noom_kill ${kills}\noom_group_kill 0\n`,
          'memory.max': '500000256\n'
        })
      )
    assert.equal(exhausted(1, 3), 500_000_256)
    assert.equal(exhausted(1, 0), undefined)
    assert.equal(exhausted(0, 3), undefined, 'the machine, or another cgroup, had no memory left')
  })
})

suite('a command that the kernel has killed for memory', () => {
  const cases = [
    { what: 'closes its scope', limits: { memory: 5e8 }, exhausted: 5.6e8, isReported: true },
    {
      what: 'leaves it open if the kernel had another reason',
      limits: { memory: 5e8 },
      exhausted: undefined,
      isReported: false
    },
    {
      what: 'leaves it open without a limit of memory',
      limits: { cpu: 5 },
      exhausted: 5.6e8,
      isReported: false
    }
  ]
  for (const { what, limits, exhausted, isReported } of cases) {
    test(`${what}`, () => {
      const reported: ExceededLimit[] = []
      const watch = new LimitWatch({
        census: { containment: 'cgroup', exhaustedMemoryOf: () => exhausted } as never,
        onExceeded: (_scope, exceeded) => void reported.push(exceeded)
      })
      const scope = new ScopeRecord(1, 'mark', { graceMs: 0, killSignal: 'SIGTERM', limits }, undefined)
      scope.leaders.set(17, '/usr/bin/ffmpeg -i a.mp4')
      watch.add(scope)
      watch.commandKilled(scope)
      watch.commandKilled(scope)
      const command = '/usr/bin/ffmpeg -i a.mp4'
      const expected = { limit: 'memory', value: 5e8, used: 5.6e8, command, program: 'ffmpeg' }
      assert.deepEqual(reported, isReported ? [expected] : [])
    })
  }
})
