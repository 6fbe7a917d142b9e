/** The list in docs/faults.md is complete, and every test that it and docs/security.md name exists. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../', import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
// The page has all faults of the first list. Of the second list, which follows, it has those that are fixed.
const firstListLength = 50

interface NamedTest {
  readonly file: string
  readonly title: string
}

/** The tests that a page names: a file in backquotes, followed by titles of the tests in it in curly quotes. */
function testsNamedIn(text: string): NamedTest[] {
  const named: NamedTest[] = []
  for (const [, file, titles] of text.matchAll(/`(test\/[\w/.-]+\.ts)`: ((?:“[^”]+”[,\s]*)+)/g)) {
    for (const [, title] of (titles as string).matchAll(/“([^”]+)”/g)) {
      named.push({ file: file as string, title: (title as string).replaceAll('\n', ' ') })
    }
  }
  return named
}

/** Whether a file has a string literal with this title, where each `…` stands for a `${}`. */
function hasTitle(source: string, title: string): boolean {
  const parts = title.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`(['"\`])${parts.join('\\$\\{[^}]+\\}')}\\1`).test(source)
}

function assertAllExist(page: string): void {
  const named = testsNamedIn(page)
  const quoted = [...page.matchAll(/“/g)].length
  assert.equal(named.length, quoted, 'a title does not follow the name of its file')
  const missing = named.filter(({ file, title }) => !hasTitle(read(file), title))
  assert.deepEqual(missing, [])
}

suite('docs/faults.md', () => {
  const page = read('docs/faults.md')
  const rows = page.split('\n').filter((line) => /^\| \d+ +\|/.test(line))

  test(`lists all ${firstListLength} faults of the first list, in order, then those of the second`, () => {
    const numbers = rows.map((row) => Number(row.split('|')[1]))
    assert.deepEqual(
      numbers.slice(0, firstListLength),
      Array.from({ length: firstListLength }, (_, index) => index + 1)
    )
    assert.deepEqual(
      numbers,
      [...new Set(numbers)].sort((a, b) => a - b)
    )
  })

  test('names a test for each fault', () => {
    const without = rows.filter((row) => testsNamedIn(row).length === 0)
    assert.deepEqual(without, [])
  })

  test('names no test that does not exist', () => assertAllExist(page))

  test('would not pass if a test were renamed', () => {
    const [first] = testsNamedIn(page) as [NamedTest]
    assert.equal(hasTitle(read(first.file), `${first.title} or not`), false)
    assert.equal(hasTitle(read(first.file), first.title.slice(0, -1)), false)
  })
})

suite('docs/security.md', () => {
  const page = read('docs/security.md')

  test('names a test for everything that it declares impossible', () => {
    const rows = page.split('\n').map((line) => line.split('|').map((cell) => cell.trim()))
    const claims = rows.filter(
      ([, , cannot = '']) => cannot !== '' && cannot !== 'it cannot' && !/^-+$/.test(cannot)
    )
    assert.ok(claims.length > 0)
    const without = claims.filter(([, , , tests = '']) => testsNamedIn(tests).length === 0)
    assert.deepEqual(without, [])
  })

  test('names no test that does not exist', () => assertAllExist(page))
})
