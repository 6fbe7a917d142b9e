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
    import { existsSync, readdirSync, utimesSync } from 'node:fs'
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

  const unusable: [string, string][] = [
    ['a link', `ln -s other /dev/shm/${name}`],
    ['a file', `touch /dev/shm/${name}`],
    ['a folder that others can write to', `mkdir /dev/shm/${name}; chmod 777 /dev/shm/${name}`]
  ]
  if (isRoot) unusable.push(['a folder of another user', `mkdir /dev/shm/${name}; chown 1 /dev/shm/${name}`])
  for (const [what, prepare] of unusable) {
    test(`is noted elsewhere where there is ${what} in the way`, () => {
      assert.deepEqual(inNewPlaces(prepare, note), [['/tmp'], true])
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
    for (const text of ['', '../x', 'worker', `${mark}/1`]) {
      const program = `
        const found = isReleased(${JSON.stringify(text)})
        try { noteRelease(${JSON.stringify(text)}) } catch ({ name }) { console.log(JSON.stringify([found, name])) }`
      assert.deepEqual(inNewPlaces('', program), [false, 'RangeError'])
    }
  })
})

suite('a note', { skip: whyNot }, () => {
  const anHour = 3_600
  const alive = process.pid

  /** Makes a note of a mark, so many seconds old, drops stale notes, and tells whether it was kept. */
  function isKept(mark: string, ageSeconds = 0, prepare = ''): boolean {
    const path = `/dev/shm/${name}/${mark.replace('/', '_')}`
    return inNewPlaces(
      prepare,
      `noteRelease('${mark}')
       const at = Date.now() / 1000 - ${ageSeconds}
       utimesSync('${path}', at, at)
       dropStaleNotes()
       console.log(isReleased('${mark}'))
       if (process.env.CARRIER !== undefined) process.kill(Number(process.env.CARRIER), 'SIGKILL')`
    )
  }

  test('of a mark that somebody carries is kept', () => {
    // Started there, since a user namespace hides the environments outside it. It has become the program that
    // carries the mark once that can be read.
    const carried = `SUBPROCESS_GUARD_MARK=${mark} sleep 1000 >/dev/null 2>&1 &
      export CARRIER=$!
      until tr '\\0' '\\n' </proc/$!/environ | grep -q ${mark}; do :; done`
    assert.equal(isKept(mark, anHour, carried), true)
  })

  test('of a dead worker is dropped when nobody carries the mark', () => {
    assert.equal(isKept(mark), false)
  })

  test('of a living worker is kept while what it released may still be starting', () => {
    assert.equal(isKept(markOfProcess(alive)), true)
    assert.equal(isKept(markOfProcess(alive), anHour), false)
  })

  test('of another boot is dropped', () => {
    assert.equal(isKept(markOf({ boot: '0-0' })), false)
  })

  test('of another PID namespace is kept, since who carries its mark cannot be seen', () => {
    assert.equal(isKept(markOf({ namespace: '1' }), anHour), true)
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
