/**
 * The registry of releases: entries are written where only their user can write, and are removed when they
 * are stale.
 */

import assert from 'node:assert/strict'
import { uptime } from 'node:os'
import { suite, test } from 'node:test'
import { markOf, markOfProcess } from './harness/marked.js'
import { distThere, isRoot, runInNewPlaces, noNewPlaces as skip } from './harness/new-places.js'

const name = 'subprocess-guard-0'
const mark = markOf()
const file = mark.replace('/', '_')

/**
 * Runs a program with the functions of the registry in new, empty shared directories. Returns what it prints.
 */
function inNewPlaces<Printed>(prepare: string, program: string): Printed {
  const imports = `import * as registry from '${distThere}/containment/release-registry.js'
    import { loadPlatform } from '${distThere}/platform/current.js'
    import { execFileSync } from 'node:child_process'
    import { existsSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
    const { recordRelease, isReleased, removeStaleRecords } = registry
    await loadPlatform()`
  return runInNewPlaces(prepare, `${imports}\n${program}`)
}

/**
 * Records a release, and prints the directories that have an entry and whether a process with another TMPDIR
 * finds it.
 */
const recordAndFind = `
  recordRelease('${mark}')
  const folders = ['/dev/shm', '/tmp', '/tmp/own', '/run/user/0'].filter(existsSync).flatMap((place) =>
    readdirSync(place).map((one) => place + '/' + one).filter((folder) => existsSync(folder + '/${file}')))
  const program = "import { isReleased } from '${distThere}/containment/release-registry.js'; import { loadPlatform } from '${distThere}/platform/current.js'; await loadPlatform(); console.log(isReleased('${mark}'))"
  const env = { ...process.env, TMPDIR: '/nowhere' }
  const known = execFileSync('/dev/shm/node', ['--input-type=module', '--eval', program], { env, encoding: 'utf8' })
  console.log(JSON.stringify([folders, known.trim()]))`

suite('a release', { skip }, () => {
  test('is recorded in memory', () => {
    assert.deepEqual(inNewPlaces('', recordAndFind), [[`/dev/shm/${name}`], 'true'])
  })

  test('is recorded in the next directory when the name in one is taken', () => {
    assert.deepEqual(inNewPlaces(`touch /dev/shm/${name}`, recordAndFind), [[`/tmp/${name}`], 'true'])
    const prepare = `touch /dev/shm/${name}; mkdir -p -m 700 /run/user/0`
    assert.deepEqual(inNewPlaces(prepare, recordAndFind), [[`/run/user/0/${name}`], 'true'])
  })

  test('is recorded in the next directory when one is full', () => {
    const prepare = `mkdir -m 700 /dev/shm/${name}; mount -t tmpfs -o nr_inodes=1,mode=700 none /dev/shm/${name}`
    assert.deepEqual(inNewPlaces(prepare, recordAndFind), [[`/tmp/${name}`], 'true'])
  })

  for (const [what, prepare] of [
    ['a link and a file', `ln -s other /dev/shm/${name}; touch /tmp/${name}`],
    [
      `directories ${isRoot ? 'of another user and ' : ''}that others can write to`,
      `mkdir /dev/shm/${name} /tmp/${name}; chmod 777 /tmp/${name}
       ${isRoot ? 'chown 1' : 'chmod 777'} /dev/shm/${name}`
    ]
  ] as const) {
    test(`is recorded under a random name, and found there, when all names are taken by ${what}`, () => {
      const [folders, known] = inNewPlaces<[string[], string]>(prepare, recordAndFind)
      assert.equal(folders.length, 1)
      assert.match(folders[0] as string, new RegExp(`^/dev/shm/${name}-\\w{6}$`))
      assert.equal(known, 'true')
    })
  }

  test('that was recorded under a random name is still found when the usual name is free again', () => {
    const program = `
      recordRelease('${mark}')
      execFileSync('rm', ['/dev/shm/${name}', '/tmp/${name}'])
      registry.recordRelease('${mark.replace('/1', '/2')}')
      const [random] = readdirSync('/dev/shm').filter((one) => one.startsWith('${name}-'))
      console.log(JSON.stringify([isReleased('${mark}'), existsSync('/dev/shm/${name}'), random !== undefined]))`
    assert.deepEqual(inNewPlaces(`touch /dev/shm/${name} /tmp/${name}`, program), [true, true, true])
  })

  test('reports which names were taken', () => {
    const program = `console.log(JSON.stringify([recordRelease('${mark}'), recordRelease('${mark}').length]))`
    assert.deepEqual(inNewPlaces(`touch /dev/shm/${name}`, program), [
      [`/dev/shm/${name} is not a directory`],
      1
    ])
    assert.deepEqual(inNewPlaces('', program), [[], 0])
  })

  test('is ignored when another user recorded it', () => {
    const prepare = `mkdir /dev/shm/${name}; touch /dev/shm/${name}/${file}; chmod 777 /dev/shm/${name}`
    assert.equal(inNewPlaces(prepare, `console.log(isReleased('${mark}'))`), false)
  })

  test('that cannot be recorded anywhere is refused, with the reasons', () => {
    const places = ['/dev/shm', '/tmp', '/tmp/own']
    const message = inNewPlaces<string>(
      `mount -t tmpfs -o ro none /tmp/own; for place in /tmp /dev/shm; do mount -o remount,bind,ro $place; done`,
      `try { recordRelease('${mark}') } catch (error) { console.log(JSON.stringify(error.message)) }`
    )
    for (const place of places) {
      assert.ok(message.includes(`EROFS: read-only file system, mkdir '${place}/${name}'`), message)
    }
  })

  test('of something that is no scope is refused and not found', () => {
    const texts = ['', '../x', 'worker', `${mark}/1`]
    const program = `
      const tried = ${JSON.stringify(texts)}.map((text) => {
        const found = isReleased(text)
        try { recordRelease(text) } catch ({ name }) { return [found, name] }
      })
      console.log(JSON.stringify([tried, existsSync('/dev/shm/${name}')]))`
    assert.deepEqual(inNewPlaces('', program), [texts.map(() => [false, 'RangeError']), false])
  })
})

suite('an entry', { skip }, () => {
  const anHour = 3_600
  const beforeBoot = uptime() + anHour
  const alive = process.pid

  /**
   * Records marks with the given ages, drops stale entries, and returns for each mark whether its entry was
   * kept.
   */
  function areKept(notes: [mark: string, ageSeconds: number][], prepare = ''): boolean[] {
    return inNewPlaces(
      prepare,
      `const made = ${JSON.stringify(notes)}
       for (const [mark, ageSeconds] of made) {
         recordRelease(mark)
         const at = Date.now() / 1000 - ageSeconds
         utimesSync('/dev/shm/${name}/' + mark.replace('/', '_'), at, at)
       }
       removeStaleRecords()
       console.log(JSON.stringify(made.map(([mark]) => isReleased(mark))))
       if (process.env.CARRIER !== undefined) process.kill(Number(process.env.CARRIER), 'SIGKILL')`
    )
  }

  test('of a mark that a process carries is kept, even when its worker is dead', () => {
    // The process is started inside the user namespace, which hides the environments outside it. It has
    // executed its program once the mark can be read.
    const carried = `SUBPROCESS_GUARD_MARK=${mark} sleep 1000 >/dev/null 2>&1 &
      export CARRIER=$!
      until tr '\\0' '\\n' </proc/$!/environ | grep -q ${mark}; do :; done`
    assert.deepEqual(areKept([[mark, anHour]], carried), [true])
  })

  test('of a mark that no process carries is dropped, unless the released process may be starting or is not visible', () => {
    const notes: [what: string, mark: string, ageSeconds: number, isKept: boolean][] = [
      ['of a dead worker', mark, 0, false],
      ['of a living worker, new', markOfProcess(alive, 1), 0, true],
      ['of a living worker, old', markOfProcess(alive, 2), anHour, false],
      ['of an earlier boot', markOf({ boot: '0-0' }), beforeBoot, false],
      ['of another boot that is not earlier, as on another machine', markOf({ boot: '1-1' }), 0, true],
      ['of another PID namespace', markOf({ namespace: '1' }), anHour, true]
    ]
    const found = areKept(notes.map(([, mark, ageSeconds]) => [mark, ageSeconds]))
    assert.deepEqual(
      notes.map(([what], i) => [what, found[i]]),
      notes.map(([what, , , isKept]) => [what, isKept])
    )
  })

  test('of an adopted process is kept while the process lives or is not visible', () => {
    const program = `
      const { pid } = process
      const startTick = Number(readFileSync('/proc/self/stat', 'utf8').replace(/.*\\) /s, '').split(' ')[19])
      registry.recordReleasedProcess({ pid, startTick })
      // The pid was reused.
      registry.recordReleasedProcess({ pid, startTick: startTick - 1 })
      const own = readdirSync('/dev/shm/${name}').find((file) => file.includes('.' + startTick))
      const ofBoot = (boot) => '/dev/shm/${name}/' + own.replace(/process_[^.]+/, 'process_' + boot)
      writeFileSync(ofBoot('0-0'), '')
      utimesSync(ofBoot('0-0'), Date.now() / 1000 - ${beforeBoot}, Date.now() / 1000 - ${beforeBoot})
      writeFileSync(ofBoot('1-1'), '')
      writeFileSync('/dev/shm/${name}/' + own.replace(/\\.\\d+/, '.1'), '')
      const released = registry.releasedPids()
      removeStaleRecords()
      const kept = readdirSync('/dev/shm/${name}')
      const isKept = [own, '.1.', '_1-1'].map((part) => kept.some((file) => file.includes(part)))
      console.log(JSON.stringify([released.map((of) => of === pid), kept.length, isKept]))`
    assert.deepEqual(inNewPlaces('', program), [[true], 3, [true, true, true]])
  })

  test('is dropped by later ones even while its worker lives, so that entries do not pile up', () => {
    const marks = Array.from({ length: 1_000 }, (_, scope) => markOfProcess(alive, scope))
    const program = `
      for (const mark of ${JSON.stringify(marks.slice(1))}) {
        recordRelease(mark)
        utimesSync('/dev/shm/${name}/' + mark.replace('/', '_'), 1, 1)
      }
      recordRelease('${marks[0]}')
      console.log(readdirSync('/dev/shm/${name}').length)`
    assert.equal(inNewPlaces('', program), 1)
  })
})
