/** What tells whose a process is, and for how long it does (FAULTS 64 and 66). */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import type * as KnownModule from '../lib/containment/known-processes.js'
import type * as AdopterModule from '../lib/containment/orphan-adopter.js'
import type * as OriginModule from '../lib/containment/process-origin.js'
import type * as TreeModule from '../lib/containment/process-tree.js'
import type * as ReleasedModule from '../lib/containment/released-marks.js'
import type * as TicksModule from '../lib/platform/linux/boot-clock.js'
import type { ProcessStat } from '../lib/platform/linux/proc.js'
import type * as OrphanModule from '../lib/platform/posix/orphan-trial.js'
import { compiled } from './harness/compiled.js'
import { markOf, startMarked } from './harness/marked.js'
import { startOrphan } from './harness/orphan.js'
import { statOf } from './harness/proc.js'

// Not public: the compiled files themselves.
const { OrphanAdopter }: typeof AdopterModule = await compiled('containment/orphan-adopter')
const { KnownProcesses }: typeof KnownModule = await compiled('containment/known-processes')
const { originOf }: typeof OriginModule = await compiled('containment/process-origin')
const { ProcessTree }: typeof TreeModule = await compiled('containment/process-tree')
const { ReleasedMarks }: typeof ReleasedModule = await compiled('containment/released-marks')
const { parentOfOrphans }: typeof OrphanModule = await compiled('platform/posix/orphan-trial')
const { ticksNow }: typeof TicksModule = await compiled('platform/linux/boot-clock')

// Above what Linux gives out: no process has such a number.
const firstPid = 5_000_000

function process_(parts: Partial<ProcessStat>): ProcessStat {
  return {
    ...{ pid: firstPid, name: '', state: 'S', parent: 1, group: 0, session: 0, startTick: 1, cpuTicks: 0 },
    ...{ threads: 1, image: '', alive: true, ending: false },
    ...parts
  }
}

suite('a marked process', () => {
  const kinds = ['ours', 'foreign', 'marked', 'unmarked', 'adopter', 'unknown adopter', 'ending'] as const
  type Kind = (typeof kinds)[number]

  /** What the first ancestor says that says something; without one it is an orphan of ours. */
  function expected(ancestors: readonly Kind[]): string {
    const [nearest] = ancestors.filter((kind) => kind !== 'marked')
    if (nearest === undefined || nearest === 'ours' || nearest === 'adopter') return 'ours'
    return nearest === 'ending' || nearest === 'unknown adopter' ? 'unclear' : 'foreign'
  }

  function found(ancestors: readonly Kind[]): string {
    // Nearest first, so the last one is the oldest and the child of process 1.
    const line = ['marked' as Kind, ...ancestors].map((kind, i, { length }) =>
      process_({
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

  test('is what the nearest ancestor without the mark makes it, and ours without one', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...kinds), { maxLength: 6 }), (ancestors) => {
        assert.equal(found(ancestors), expected(ancestors), ancestors.join(' < '))
      })
    )
  })

  test('is ours at the end of ten thousand others', () => {
    assert.equal(found(new Array<Kind>(10_000).fill('marked')), 'ours')
  })
})

suite('the number of a session', () => {
  test('tells only of what was born in it while it was held', () => {
    const age = fc.integer({ min: 1_000, max: 100_000 })
    fc.assert(
      fc.property(
        age,
        fc.integer({ min: -200_000, max: 200_000 }),
        fc.boolean(),
        (ageTicks, bornAfter, isSame) => {
          const known = new KnownProcesses()
          const now = ticksNow()
          const founder = process_({ session: firstPid, group: firstPid, startTick: now - ageTicks })
          known.remember(founder)
          const startTick = founder.startTick + bornAfter
          const session = isSame ? firstPid : firstPid + 1
          const other = process_({ pid: firstPid + 2, session, group: firstPid, startTick })
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

test('what is noted of processes does not grow with those that are gone', () => {
  const known = new KnownProcesses()
  for (let i = 0; i < 10_000; i++) {
    const pid = firstPid + i
    known.remember(process_({ pid, group: pid, session: pid }))
    known.prune()
  }
  assert.ok(known.seen.size + known.groups.size < 500, `${known.seen.size} ${known.groups.size}`)
})

test('the marks of releases are forgotten when nobody carries them', async (t) => {
  const carried = markOf({ scope: 7 })
  await startMarked(t, carried)
  const marks = new ReleasedMarks()
  marks.add(carried)
  for (let scope = 1_000; scope < 3_500; scope++) marks.add(markOf({ scope }))
  assert.ok(marks.size < 1_500, `${marks.size}`)
  assert.ok(marks.has(carried))
})

suite('who takes in orphans', () => {
  test('is found by a trial', async (t) => {
    const { pid } = await startOrphan(t, ['sleep', '1000'], process.env)
    assert.equal(await parentOfOrphans(), statOf(pid)?.parent)
  })

  test('is nobody who is not above, for which there is no trial', async (t) => {
    const other = await startOrphan(t, ['sleep', '1000'], process.env)
    let trials = 0
    const find = async (): Promise<undefined> => {
      trials++
    }
    const adopter = new OrphanAdopter({ pid: process.pid, findAdopter: find })
    const startTick = Number(statOf(other.pid)?.startTick)
    assert.equal(adopter.isAdopter(process_({ pid: other.pid, startTick })), false)
    assert.equal(trials, 0)
  })

  test('is nobody where a trial cannot be made, which is not tried again at once', async () => {
    let trials = 0
    const find = async (): Promise<undefined> => {
      trials++
    }
    const adopter = new OrphanAdopter({ pid: process.pid, findAdopter: find })
    const parent = process_({ pid: process.ppid, startTick: Number(statOf(process.ppid)?.startTick) })
    assert.equal(adopter.isAdopter(parent), undefined)
    await adopter.settled()
    assert.equal(adopter.isAdopter(parent), false)
    assert.equal(trials, 1)
  })
})
