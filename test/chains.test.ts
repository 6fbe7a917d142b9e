/**
 * Every process of a scope is found, however long a chain of processes is, and a failed scan is not taken for
 * an empty one (fault 65 in docs/faults.md; more in `test/long`).
 */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type * as ProcessTree from '../lib/containment/process-tree.js'
import type * as Members from '../lib/containment/scope-record.js'
import type * as Terminate from '../lib/containment/terminate.js'
import {
  assertListedAndEnded,
  forEachWay,
  startWaiting,
  takeDescriptors,
  takeStack
} from './harness/chains.js'
import { compiled } from './harness/compiled.js'
import { assertGone } from './harness/expectations.js'
import { bestLevel } from './harness/level.js'

const { visitTree }: typeof ProcessTree = await compiled('containment/process-tree')
const { ScopeRecord }: typeof Members = await compiled('containment/scope-record')
const { terminate }: typeof Terminate = await compiled('containment/terminate')
// With this little stack, recursion overflows before it reaches the end of such a chain.
const stackKilobytes = 120
const chainLength = 800

test('a tree of any depth is visited, parents before children and siblings in order', () => {
  const depth = 1_000_000
  let visited = 0
  visitTree(1, (pid) => {
    visited++
    return pid < depth ? [pid + 1] : []
  })
  assert.equal(visited, depth)
  const order: number[] = []
  const children: Record<number, number[]> = { 1: [2, 5], 2: [3, 4] }
  visitTree(1, (pid) => {
    order.push(pid)
    return children[pid] ?? []
  })
  assert.deepEqual(order, [1, 2, 3, 4, 5])
})

test('a scan that always throws is reported, and the processes known until then are survivors', async (t) => {
  const { pid, child } = await startSleep(t)
  const scope = new ScopeRecord(1, 'mark', { graceMs: 10, killSignal: 'SIGKILL' }, undefined)
  scope.orphans.add(pid)
  const fail = (): never => {
    throw new RangeError('a fault')
  }
  const search = { members: fail, isEmpty: () => false, confirmIdentity: fail, waitForChange: () => pause(1) }
  const why = 'it could not be inspected: a fault'
  assert.deepEqual(await terminate(search, scope, undefined), [
    { pid, command: '[started at tick unknown]', ended: 'survived', why }
  ])
  assert.match(scope.scanFailure ?? '', /RangeError: a fault\n +at/)
  child.kill('SIGKILL')
  await once(child, 'exit')
  assert.deepEqual(await terminate(search, scope, undefined), [], 'an exited process is named as a survivor')
})

async function startSleep(t: TestContext) {
  const child = spawn('sleep', ['1000'], { stdio: 'ignore' })
  t.after(() => child.kill('SIGKILL'))
  await once(child, 'spawn')
  return { child, pid: child.pid as number }
}

forEachWay((start, way) => {
  test('a keeper that ran out of descriptors lists and closes a scope once it has some again', async (t) => {
    const guarded = await start(t)
    const [listed, closed] = [await startWaiting(guarded), await startWaiting(guarded)]
    const restore = takeDescriptors(t, guarded.guard.keeper)
    const answers = [listed.list(), closed.close()] as const
    assert.equal(await Promise.race([...answers, pause(500)]), undefined, 'it answered without a scan')
    restore()
    const [processes, report] = await Promise.all(answers)
    assert.equal(processes.length, 1)
    assert.equal(report.processes.length, 1)
    assert.deepEqual(report.survivors, [])
    await listed.close()
    await assertGone(guarded)
  })

  // The leader of a direct launch is no child of the keeper: without a look at it, its pid is not certain.
  if (way.endsWith('launch: keeper')) {
    test('a keeper without descriptors ends a command with its group, and logs that it could not inspect the processes', async (t) => {
      const guarded = await start(t)
      const scope = guarded.guard.open({ timeout: false, grace: 100 })
      guarded.run(scope, 'tree-ignores-term.sh')
      await guarded.witness.present(4)
      const restore = takeDescriptors(t, guarded.guard.keeper)
      const { processes } = await scope.close()
      await assertGone(guarded)
      assert.deepEqual(
        processes.map(({ ended }) => ended),
        ['SIGKILL']
      )
      assert.equal(guarded.lines('could not be inspected').length, 1)
      restore()
    })
  }

  // The other ways scan the process tree of the whole machine. `test/long` runs ten thousand processes with
  // every way.
  if (way !== `containment "${bestLevel}", launch: keeper`) return

  test('a chain longer than the stack is deep is listed and ended, and the keeper keeps serving', async (t) => {
    takeStack(t, stackKilobytes)
    const guarded = await start(t)
    await assertListedAndEnded(guarded, chainLength, 'chain')
  })
})
