/** The documentation matches the code. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../', import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const pages = [
  'README.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)
]

suite('the documentation', () => {
  test('lists every public name with its docstring in docs/api.md', () => {
    const script = join(root, 'scripts/api.js')
    const { status, stderr } = spawnSync(process.execPath, [script, '--check'], { encoding: 'utf8' })
    assert.equal(stderr, '')
    assert.equal(status, 0)
  })

  test('shows the folders and their imports in docs/architecture.md', () => {
    const script = join(root, 'scripts/architecture.js')
    const { status, stderr } = spawnSync(process.execPath, [script, '--check'], { encoding: 'utf8' })
    assert.equal(stderr, '')
    assert.equal(status, 0)
  })

  test('lists exactly the errors of the code, with their status codes', () => {
    const inCode = [...read('lib/errors.ts').matchAll(/^ {2}(ERR_\w+): \{ statusCode: (\d+)/gm)]
    const inDocs = [...read('docs/errors.md').matchAll(/^\| `(ERR_\w+)` +\| (\d+|) +\|/gm)]
    // These two are never the answer to a request.
    const noAnswer = ['ERR_SUBPROCESS_SURVIVORS', 'ERR_SUBPROCESS_OPTION']
    const expected = inCode.map(([, code, status]) => [code, noAnswer.includes(code as string) ? '' : status])
    assert.deepEqual(
      new Map(inDocs.map(([, code, status]) => [code, status]) as never),
      new Map(expected as never)
    )
  })

  for (const page of pages) {
    test(`has no broken link: ${page}`, () => {
      for (const [, link] of read(page).matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)) {
        assert.ok(existsSync(join(root, dirname(page), link as string)), link)
      }
    })

    test(`names no file that is not there: ${page}`, () => {
      for (const [, file] of read(page).matchAll(
        /`((?:lib|test|scripts|soak|benchmarks|examples)\/[\w./-]+)`/g
      )) {
        assert.ok(existsSync(join(root, file as string)), file)
      }
    })
  }
})
