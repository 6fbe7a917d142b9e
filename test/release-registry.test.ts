/** What was released is noted where only its user can write, and no longer than it matters. */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { markOf, markOfProcess } from './harness/marked.js'
import { distThere, isRoot, runInNewPlaces, noNewPlaces as whyNot } from './harness/new-places.js'

const name = 'subprocess-guard-0'
const mark = markOf()
const file = mark.replace('/', '_')

/** Runs a program with the functions of the notes in new places, and returns what it prints. */
function inNewPlaces<Printed>(prepare: string, program: string): Printed {
  const imports = `import * as notes from '${distThere}/containment/release-registry.js'
    import { execFileSync } from 'node:child_process'
    import { existsSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
    const { recordRelease, isReleased, removeStaleRecords } = notes`
  return runInNewPlaces(prepare, `${imports}\n${program}`)
}

/** Notes a release and tells in which folder the note is, and whether another process with another TMPDIR knows of it. */
const note = `
  recordRelease('${mark}')
  const folders = ['/dev/shm', '/tmp', '/tmp/own', '/run/user/0'].filter(existsSync).flatMap((place) =>
    readdirSync(place).map((one) => place + '/' + one).filter((folder) => existsSync(folder + '/${file}')))
  const program = "import { isReleased } from '${distThere}/containment/release-registry.js'; console.log(isReleased('${mark}'))"
  const env = { ...process.env, TMPDIR: '/nowhere' }
  const known = execFileSync('/dev/shm/node', ['--input-type=module', '--eval', program], { env, encoding: 'utf8' })
  console.log(JSON.stringify([folders, known.trim()]))`

suite('a release', { skip: whyNot }, () => {
  test('is noted in memory', () => {
    assert.deepEqual(inNewPlaces('', note), [[`/dev/shm/${name}`], 'true'])
  })

  test('is noted at the next place where one is taken', () => {
    assert.deepEqual(inNewPlaces(`touch /dev/shm/${name}`, note), [[`/tmp/${name}`], 'true'])
    const prepare = `touch /dev/shm/${name}; mkdir -p -m 700 /run/user/0`
    assert.deepEqual(inNewPlaces(prepare, note), [[`/run/user/0/${name}`], 'true'])
  })

  test('is noted at the next place where one is full', () => {
    const prepare = `mkdir -m 700 /dev/shm/${name}; mount -t tmpfs -o nr_inodes=1,mode=700 none /dev/shm/${name}`
    assert.deepEqual(inNewPlaces(prepare, note), [[`/tmp/${name}`], 'true'])
  })

  for (const [what, prepare] of [
    ['a link and a file', `ln -s other /dev/shm/${name}; touch /tmp/${name}`],
    [
      `folders ${isRoot ? 'of another user and ' : ''}that others can write to`,
      `mkdir /dev/shm/${name} /tmp/${name}; chmod 777 /tmp/${name}
       ${isRoot ? 'chown 1' : 'chmod 777'} /dev/shm/${name}`
    ]
  ] as const) {
    test(`is noted under a random name where there are ${what} in the way everywhere, and others find it`, () => {
      const [folders, known] = inNewPlaces<[string[], string]>(prepare, note)
      assert.equal(folders.length, 1)
      assert.match(folders[0] as string, new RegExp(`^/dev/shm/${name}-\\w{6}$`))
      assert.equal(known, 'true')
    })
  }

  test('that had a random name is known when what was in the way is gone', () => {
    const program = `
      recordRelease('${mark}')
      execFileSync('rm', ['/dev/shm/${name}', '/tmp/${name}'])
      notes.recordRelease('${mark.replace('/1', '/2')}')
      const [random] = readdirSync('/dev/shm').filter((one) => one.startsWith('${name}-'))
      console.log(JSON.stringify([isReleased('${mark}'), existsSync('/dev/shm/${name}'), random !== undefined]))`
    assert.deepEqual(inNewPlaces(`touch /dev/shm/${name} /tmp/${name}`, program), [true, true, true])
  })

  test('tells where somebody was in the way', () => {
    const program = `console.log(JSON.stringify([recordRelease('${mark}'), recordRelease('${mark}').length]))`
    assert.deepEqual(inNewPlaces(`touch /dev/shm/${name}`, program), [[`/dev/shm/${name} is no folder`], 1])
    assert.deepEqual(inNewPlaces('', program), [[], 0])
  })

  test('is not believed to be noted by others', () => {
    const prepare = `mkdir /dev/shm/${name}; touch /dev/shm/${name}/${file}; chmod 777 /dev/shm/${name}`
    assert.equal(inNewPlaces(prepare, `console.log(isReleased('${mark}'))`), false)
  })

  test('that can be noted nowhere is refused, with the reasons', () => {
    const places = ['/dev/shm', '/tmp', '/tmp/own']
    const message = inNewPlaces<string>(
      `mount -t tmpfs -o ro none /tmp/own; for place in /tmp /dev/shm; do mount -o remount,bind,ro $place; done`,
      `try { recordRelease('${mark}') } catch (error) { console.log(JSON.stringify(error.message)) }`
    )
    for (const place of places) {
      assert.ok(message.includes(`EROFS: read-only file system, mkdir '${place}/${name}'`), message)
    }
  })

  test('of what is no scope is refused, and was never noted', () => {
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

suite('a note', { skip: whyNot }, () => {
  const anHour = 3_600
  const alive = process.pid

  /** Makes notes of marks, each so many seconds old, drops stale notes, and tells which were kept. */
  function kept(notes: [mark: string, ageSeconds: number][], prepare = ''): boolean[] {
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

  test('of a mark that somebody carries is kept, even of a dead worker', () => {
    // Started there, since a user namespace hides the environments outside it. It has become the program that
    // carries the mark once that can be read.
    const carried = `SUBPROCESS_GUARD_MARK=${mark} sleep 1000 >/dev/null 2>&1 &
      export CARRIER=$!
      until tr '\\0' '\\n' </proc/$!/environ | grep -q ${mark}; do :; done`
    assert.deepEqual(kept([[mark, anHour]], carried), [true])
  })

  test('that nobody carries is dropped, save while what was released may still be starting or cannot be seen', () => {
    const notes: [what: string, mark: string, ageSeconds: number, isKept: boolean][] = [
      ['of a dead worker', mark, 0, false],
      ['of a living worker, new', markOfProcess(alive, 1), 0, true],
      ['of a living worker, old', markOfProcess(alive, 2), anHour, false],
      ['of another boot', markOf({ boot: '0-0' }), 0, false],
      ['of another PID namespace', markOf({ namespace: '1' }), anHour, true]
    ]
    const found = kept(notes.map(([, mark, ageSeconds]) => [mark, ageSeconds]))
    assert.deepEqual(
      notes.map(([what], i) => [what, found[i]]),
      notes.map(([what, , , isKept]) => [what, isKept])
    )
  })

  test('of a process that was taken in is kept while that lives, or cannot be seen', () => {
    const program = `
      const { pid } = process
      const startTick = Number(readFileSync('/proc/self/stat', 'utf8').replace(/.*\\) /s, '').split(' ')[19])
      notes.recordReleasedProcess({ pid, startTick })
      // The number was given out again.
      notes.recordReleasedProcess({ pid, startTick: startTick - 1 })
      const [own] = readdirSync('/dev/shm/${name}')
      writeFileSync('/dev/shm/${name}/' + own.replace(/process_[^.]+/, 'process_0-0'), '')
      writeFileSync('/dev/shm/${name}/' + own.replace(/\\.\\d+/, '.1'), '')
      const released = notes.releasedPids()
      removeStaleRecords()
      const kept = readdirSync('/dev/shm/${name}').map((file) => file.replace(/^process_[^.]+/, ''))
      console.log(JSON.stringify([released.map((of) => of === pid), kept.length, kept.some((of) => of.startsWith('.1.'))]))`
    assert.deepEqual(inNewPlaces('', program), [[true], 2, true])
  })

  test('is dropped by later ones while its worker lives, so that they do not come to many', () => {
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
