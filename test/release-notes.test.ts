/** What was released is noted where only its user can write, and no longer than it matters. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { markOf, markOfProcess } from './harness/marked.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const isRoot = process.getuid?.() === 0
const flags = ['--mount', ...(isRoot ? [] : ['--user', '--map-root-user'])]
const tried = spawnSync('unshare', [...flags, 'mount', '-t', 'tmpfs', 'none', '/tmp'], { encoding: 'utf8' })
const whyNot = tried.status === 0 ? false : `no folders of its own can be mounted: ${tried.stderr}`

// New and empty, seen by nobody else. The tests themselves may be in a place that is hidden then, and so may Node.
const fresh = `set -e
  mount -t tmpfs none /dev/shm; mkdir /dev/shm/root /dev/shm/other; mount --bind "$ROOT" /dev/shm/root
  touch /dev/shm/node; mount --bind "$NODE" /dev/shm/node
  mount -t tmpfs none /tmp; mkdir /tmp/own; cd /`
const name = 'subprocess-guard-released-0'
const mark = markOf()
const file = mark.replace('/', '_')

/** Runs a program with the functions of the notes in new places, and returns what it prints. */
function inNewPlaces<Printed>(prepare: string, program: string): Printed {
  const imports = `import * as notes from '/dev/shm/root/dist/containment/release-notes.js'
    import { existsSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
    const { noteRelease, isReleased, dropStaleNotes } = notes`
  const node = ['/dev/shm/node', '--input-type=module', '--eval', `${imports}\n${program}`]
  const { stdout, stderr } = spawnSync(
    'unshare',
    [...flags, 'sh', '-c', `${fresh}\n${prepare}\nexec "$@"`, 'sh', ...node],
    { encoding: 'utf8', env: { ...process.env, ROOT: root, NODE: process.execPath, TMPDIR: '/tmp/own' } }
  )
  assert.notEqual(stdout, '', stderr)
  return JSON.parse(stdout)
}

/** Notes a release and tells in which of the places the note is. */
const note = `
  noteRelease('${mark}')
  const places = ['/dev/shm', '/tmp', '/tmp/own'].filter((place) => existsSync(place + '/${name}/${file}'))
  console.log(JSON.stringify([places, isReleased('${mark}')]))`

suite('a release', { skip: whyNot }, () => {
  test('is noted in memory', () => {
    assert.deepEqual(inNewPlaces('', note), [['/dev/shm'], true])
  })

  for (const [what, prepare] of [
    ['a link and a file', `ln -s other /dev/shm/${name}; touch /tmp/${name}`],
    [
      `folders ${isRoot ? 'of another user and ' : ''}that others can write to`,
      `mkdir /dev/shm/${name} /tmp/${name}; chmod 777 /tmp/${name}
       ${isRoot ? 'chown 1' : 'chmod 777'} /dev/shm/${name}`
    ]
  ] as const) {
    test(`is noted elsewhere where there are ${what} in the way`, () => {
      assert.deepEqual(inNewPlaces(prepare, note), [['/tmp/own'], true])
    })
  }

  test('is not believed to be noted by others', () => {
    const prepare = `mkdir /dev/shm/${name}; touch /dev/shm/${name}/${file}; chmod 777 /dev/shm/${name}`
    assert.equal(inNewPlaces(prepare, `console.log(isReleased('${mark}'))`), false)
  })

  test('that can be noted nowhere is refused, with the reasons', () => {
    const places = ['/dev/shm', '/tmp', '/tmp/own'].map((place) => `${place}/${name}`)
    const message = inNewPlaces<string>(
      `touch ${places.join(' ')}`,
      `try { noteRelease('${mark}') } catch (error) { console.log(JSON.stringify(error.message)) }`
    )
    for (const place of places) assert.ok(message.includes(`${place}: it is not a folder`), message)
  })

  test('of what is no scope is refused, and was never noted', () => {
    const texts = ['', '../x', 'worker', `${mark}/1`]
    const program = `
      const tried = ${JSON.stringify(texts)}.map((text) => {
        const found = isReleased(text)
        try { noteRelease(text) } catch ({ name }) { return [found, name] }
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
         noteRelease(mark)
         const at = Date.now() / 1000 - ageSeconds
         utimesSync('/dev/shm/${name}/' + mark.replace('/', '_'), at, at)
       }
       dropStaleNotes()
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
      notes.noteReleasedProcess({ pid, startTick })
      // The number was given out again.
      notes.noteReleasedProcess({ pid, startTick: startTick - 1 })
      const [own] = readdirSync('/dev/shm/${name}')
      writeFileSync('/dev/shm/${name}/' + own.replace(/process_[^.]+/, 'process_0-0'), '')
      writeFileSync('/dev/shm/${name}/' + own.replace(/\\.\\d+/, '.1'), '')
      const released = notes.releasedProcesses()
      dropStaleNotes()
      const kept = readdirSync('/dev/shm/${name}').map((file) => file.replace(/^process_[^.]+/, ''))
      console.log(JSON.stringify([released.map((of) => of === pid), kept.length, kept.some((of) => of.startsWith('.1.'))]))`
    assert.deepEqual(inNewPlaces('', program), [[true], 2, true])
  })

  test('is dropped by later ones while its worker lives, so that they do not come to many', () => {
    const marks = Array.from({ length: 1_000 }, (_, scope) => markOfProcess(alive, scope))
    const program = `
      for (const mark of ${JSON.stringify(marks.slice(1))}) {
        noteRelease(mark)
        utimesSync('/dev/shm/${name}/' + mark.replace('/', '_'), 1, 1)
      }
      noteRelease('${marks[0]}')
      console.log(readdirSync('/dev/shm/${name}').length)`
    assert.equal(inNewPlaces('', program), 1)
  })
})
