/** The directory of a scope is removed whatever commands have left in it, and nothing outside of it is. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after, suite, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type * as RemoveFolder from '../lib/platform/linux/remove-folder.js'
import { whyNoOther } from './harness/no-room.js'

// Each system has one of its own. That by paths differs only in what another user can do meanwhile.
const urls = ['linux/remove-folder', 'posix/remove-folder-by-path'].map(
  (path) => new URL(`../../dist/platform/${path}.js`, import.meta.url)
)
const nobody = 65_534
const isRoot = process.getuid?.() === 0
const testFolder = mkdtempSync(join(tmpdir(), 'remove-'))
chmodSync(testFolder, 0o755)
after(() => rmSync(testFolder, { recursive: true, force: true }))

const newFolder = (): string => mkdtempSync(join(testFolder, 'folder-'))

for (const url of urls) {
  const { removeFolder } = (await import(url.href)) as typeof RemoveFolder
  const way = basename(url.pathname, '.js')

  suite(`${way}: a directory`, () => {
    test('is removed with all of its content, and need not exist', async () => {
      const folder = newFolder()
      mkdirSync(join(folder, 'a/b/c'), { recursive: true })
      for (const file of ['1', 'a/2', 'a/b/3', 'a/b/c/4', '.5']) writeFileSync(join(folder, file), file)
      await removeFolder(folder)
      assert.ok(!existsSync(folder))
      await removeFolder(folder)
    })

    test('is removed when it is deeper than a path can be long', async () => {
      const folder = newFolder()
      const program = `
      for (let i = 0; i < 1_200; i++) { fs.mkdirSync('deep'); process.chdir('deep') }
      fs.writeFileSync('file', '')`
      assert.equal(spawnSync(process.execPath, ['--eval', program], { cwd: folder }).status, 0)
      await removeFolder(folder)
      assert.ok(!existsSync(folder))
    })

    test('is removed without the targets of its links, and so is a link in its place', async () => {
      const [folder, other] = [newFolder(), newFolder()]
      writeFileSync(join(other, 'file'), 'kept')
      symlinkSync(other, join(folder, 'link'))
      symlinkSync(join(other, 'file'), join(folder, 'link to a file'))
      symlinkSync('/nowhere', join(folder, 'dead link'))
      await removeFolder(folder)
      assert.ok(!existsSync(folder))
      symlinkSync(other, folder)
      await removeFolder(folder)
      assert.deepEqual([existsSync(folder), readFileSync(join(other, 'file'), 'utf8')], [false, 'kept'])
    })

    test('with 5,000 files is removed without blocking the event loop', async () => {
      const folder = newFolder()
      const script = 'i=0; while [ $i -lt 5000 ]; do : >file$i; i=$((i + 1)); done'
      spawnSync('sh', ['-c', script], { cwd: folder })
      let turns = 0
      let isDone = false
      const removed = removeFolder(folder).then(() => {
        isDone = true
      })
      for (; !isDone; turns++) await turn()
      await removed
      assert.ok(!existsSync(folder))
      // One turn for every few files.
      assert.ok(turns > 200, `${turns} turns`)
    })

    test('is removed with few descriptors when hundreds are removed at once', () => {
      const folders = Array.from({ length: 300 }, newFolder)
      for (const folder of folders) mkdirSync(join(folder, 'a/b'), { recursive: true })
      const program = `import { removeFolder } from '${url.href}'
      await Promise.all(process.argv.slice(1).map(removeFolder))`
      const limited = ['-c', 'ulimit -n 60; exec "$@"', 'sh', process.execPath]
      const { stderr } = spawnSync('sh', [...limited, '--input-type=module', '--eval', program, ...folders], {
        encoding: 'utf8'
      })
      assert.equal(stderr, '')
      assert.deepEqual(folders.filter(existsSync), [])
    })
  })

  suite(`${way}: as an unprivileged user, a directory`, {
    skip: isRoot ? (whyNoOther() ?? false) : false
  }, () => {
    const user = isRoot ? { uid: nobody, gid: nobody } : {}
    const program = `import { removeFolder } from '${url.href}'
    try { await removeFolder(process.argv[1]); console.log('removed') }
    catch (error) { console.log([error.code, error.message].join(' ')) }`

    /** Fills a directory by a shell script and removes it. Returns its path and what the removal printed. */
    function prepareAndRemove(script: string): [folder: string, output: string] {
      const folder = newFolder()
      chmodSync(folder, 0o755)
      if (isRoot) chownSync(testFolder, nobody, nobody)
      if (isRoot) chownSync(folder, nobody, nobody)
      spawnSync('sh', ['-c', script], { cwd: folder, ...user })
      const args = ['--input-type=module', '--eval', program, folder]
      return [folder, spawnSync(process.execPath, args, { encoding: 'utf8', ...user }).stdout.trim()]
    }

    for (const [what, script] of [
      ['of mode 000', 'touch file; chmod 000 .'],
      [
        'with one of mode 000 in it',
        'mkdir -p a/b/c; touch a/b/c/file; chmod 000 a/b/c; chmod 000 a/b; chmod 000 a'
      ],
      [
        'with one in it that is read-only',
        'mkdir -p a/b/c; touch a/b/c/file; chmod 500 a/b/c; chmod 400 a/b; chmod 555 a'
      ]
    ] as const) {
      test(`${what} is removed`, () => {
        const [folder, output] = prepareAndRemove(script)
        assert.deepEqual([output, existsSync(folder)], ['removed', false])
      })
    }

    test('with content of another user loses everything else, and an error names what is left', {
      skip: isRoot ? false : 'only root can make such a directory'
    }, () => {
      const folder = newFolder()
      mkdirSync(join(folder, 'a/b'), { recursive: true })
      for (const file of ['a/b/file', 'a/other', 'other']) writeFileSync(join(folder, file), '')
      for (const path of ['', 'a', 'a/other', 'other']) chownSync(join(folder, path), nobody, nobody)
      chownSync(testFolder, nobody, nobody)
      const args = ['--input-type=module', '--eval', program, folder]
      const { stdout } = spawnSync(process.execPath, args, { encoding: 'utf8', ...user })
      assert.match(stdout, new RegExp(`^EACCES EACCES: permission denied, \\w+ '${folder}/a/b(/file)?'`))
      assert.ok(!existsSync(join(folder, 'other')))
      assert.ok(!existsSync(join(folder, 'a/other')))
    })
  })
}
