/** The evidence for where a process comes from, and how long it is valid (docs/faults.md, 64 and 66). */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import type * as AdopterModule from '../lib/containment/find-orphan-adopter.js'
import type * as KnownModule from '../lib/containment/known-processes.js'
import type * as OriginModule from '../lib/containment/process-origin.js'
import type * as TreeModule from '../lib/containment/process-tree.js'
import type * as ReleasedModule from '../lib/containment/released-marks.js'
import type * as PlatformModule from '../lib/platform/current.js'
import type { ProcessStat } from '../lib/platform/platform.js'
import { compiled } from './harness/compiled.js'
import { markOf, startMarked } from './harness/marked.js'
import { startOrphan } from './harness/orphan.js'
import { statOf } from './harness/proc.js'

// Not exported by the package: import the compiled files.
const { OrphanAdopter }: typeof AdopterModule = await compiled('containment/find-orphan-adopter')
const { KnownProcesses }: typeof KnownModule = await compiled('containment/known-processes')
const { originOf }: typeof OriginModule = await compiled('containment/process-origin')
const { ProcessTree }: typeof TreeModule = await compiled('containment/process-tree')
const { ReleasedMarks }: typeof ReleasedModule = await compiled('containment/released-marks')
const { platform }: typeof PlatformModule = await compiled('platform/current')

// Above the maximum pid of Linux: no process has such a pid.
const firstPid = 5_000_000

function statWith(parts: Partial<ProcessStat>): ProcessStat {
  return {
    ...{ pid: firstPid, name: '', state: 'S', parent: 1, group: 0, session: 0, startTick: 1, cpuTicks: 0 },
    ...{ threads: 1, image: '', alive: true, ending: false },
    ...parts
  }
}

suite('a marked process', () => {
  const kinds = ['ours', 'foreign', 'marked', 'unmarked', 'adopter', 'unknown adopter', 'ending'] as const
  type Kind = (typeof kinds)[number]

  /** The nearest ancestor without the mark decides. Without one, the process is an orphan of ours. */
  function expectedOrigin(ancestors: readonly Kind[]): string {
    const [nearest] = ancestors.filter((kind) => kind !== 'marked')
    if (nearest === undefined || nearest === 'ours' || nearest === 'adopter') return 'ours'
    return nearest === 'ending' || nearest === 'unknown adopter' ? 'unclear' : 'foreign'
  }

  function actualOrigin(ancestors: readonly Kind[]): string {
    // Nearest ancestor first: the last one is the oldest, and a child of process 1.
    const line = ['marked' as Kind, ...ancestors].map((kind, i, { length }) =>
      statWith({
        pid: firstPid + i,
        parent: i + 1 < length ? firstPid + i + 1 : 1,
        startTick: length - i,
        ending: kind === 'ending'
      })
    )
    const kindOf = ({ pid }: ProcessStat): Kind => ancestors[pid - firstPid - 1] as Kind
    const adopter = {
      isAdopter: (stat: ProcessStat) =>
        kindOf(stat) === 'unknown adopter' ? undefined : kindOf(stat) === 'adopter'
    } as AdopterModule.OrphanAdopter
    const verdictOn = (stat: ProcessStat): OriginModule.AncestorKind => {
      const kind = kindOf(stat)
      return kind === 'ours' || kind === 'foreign' || kind === 'marked' ? kind : 'unmarked'
    }
    return originOf(line[0] as ProcessStat, new ProcessTree(line), adopter, verdictOn)
  }

  test('has the origin that its nearest unmarked ancestor shows, and is ours without one', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...kinds), { maxLength: 6 }), (ancestors) => {
        assert.equal(actualOrigin(ancestors), expectedOrigin(ancestors), ancestors.join(' < '))
      })
    )
  })

  test('is ours below ten thousand marked ancestors', () => {
    assert.equal(actualOrigin(new Array<Kind>(10_000).fill('marked')), 'ours')
  })
})

suite('the id of a session', () => {
  test('identifies only processes that were born in it while a process of the scope held it', () => {
    const age = fc.integer({ min: 1_000, max: 100_000 })
    fc.assert(
      fc.property(
        age,
        fc.integer({ min: -200_000, max: 200_000 }),
        fc.boolean(),
        (ageTicks, bornAfter, isSame) => {
          const known = new KnownProcesses()
          const now = platform.ticksNow()
          const founder = statWith({ session: firstPid, group: firstPid, startTick: now - ageTicks })
          known.remember(founder)
          const startTick = founder.startTick + bornAfter
          const session = isSame ? firstPid : firstPid + 1
          const other = statWith({ pid: firstPid + 2, session, group: firstPid, startTick })
          const isUndecided = Math.abs(startTick - now) < 50
          if (isUndecided) return
          assert.equal(known.wasBornInGroup(other), isSame && bornAfter >= 0 && startTick < now)
          known.forgetPid(firstPid)
          assert.equal(known.wasBornInGroup(other), false)
        }
      )
    )
  })
})

test('the record of known processes does not grow with processes that have exited', () => {
  const known = new KnownProcesses()
  for (let i = 0; i < 10_000; i++) {
    const pid = firstPid + i
    known.remember(statWith({ pid, group: pid, session: pid }))
    known.prune()
  }
  assert.ok(known.seen.size + known.groups.size < 500, `${known.seen.size} ${known.groups.size}`)
})

test('the mark of a release is forgotten when no process carries it', async (t) => {
  const carried = markOf({ scope: 7 })
  await startMarked(t, carried)
  const marks = new ReleasedMarks()
  marks.add(carried)
  for (let scope = 1_000; scope < 3_500; scope++) marks.add(markOf({ scope }))
  assert.ok(marks.size < 1_500, `${marks.size}`)
  assert.ok(marks.has(carried))
})

suite('the process that adopts orphans', () => {
  test('is found by a trial', async (t) => {
    const { pid } = await startOrphan(t, ['sleep', '1000'], process.env)
    assert.equal(await platform.findOrphanAdopter(), statOf(pid)?.parent)
  })

  test('is no process that is not an ancestor, which needs no trial', async (t) => {
    const other = await startOrphan(t, ['sleep', '1000'], process.env)
    let trials = 0
    const find = async (): Promise<undefined> => {
      trials++
    }
    const adopter = new OrphanAdopter({ pid: process.pid, findAdopter: find })
    const startTick = Number(statOf(other.pid)?.startTick)
    assert.equal(adopter.isAdopter(statWith({ pid: other.pid, startTick })), false)
    assert.equal(trials, 0)
  })

  test('is unknown where a trial fails, which is not repeated at once', async () => {
    let trials = 0
    const find = async (): Promise<undefined> => {
      trials++
    }
    const adopter = new OrphanAdopter({ pid: process.pid, findAdopter: find })
    const parent = statWith({ pid: process.ppid, startTick: Number(statOf(process.ppid)?.startTick) })
    assert.equal(adopter.isAdopter(parent), undefined)
    await adopter.settled()
    assert.equal(adopter.isAdopter(parent), false)
    assert.equal(trials, 1)
  })
})
