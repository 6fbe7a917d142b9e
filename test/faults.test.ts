/** The list of faults is whole, and every test that it and the page on security name exists. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../', import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
// The first list is whole. Of the second one, which begins after it, the page has what is mended.
const firstListLength = 50

interface Named {
  readonly file: string
  readonly title: string
}

/** A file in backquotes, and after it the titles of its tests in curly quotes. */
function testsNamedIn(text: string): Named[] {
  const named: Named[] = []
  for (const [, file, titles] of text.matchAll(/`(test\/[\w/-]+\.test\.ts)`: ((?:“[^”]+”[,\s]*)+)/g)) {
    for (const [, title] of (titles as string).matchAll(/“([^”]+)”/g)) {
      named.push({ file: file as string, title: (title as string).replaceAll('\n', ' ') })
    }
  }
  return named
}

/** Whether a file has a text literal of that wording, in which each `…` stands for something in `${}`. */
function has(source: string, title: string): boolean {
  const parts = title.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`(['"\`])${parts.join('\\$\\{[^}]+\\}')}\\1`).test(source)
}

function assertAllExist(page: string): void {
  const named = testsNamedIn(page)
  const quoted = [...page.matchAll(/“/g)].length
  assert.equal(named.length, quoted, 'a title stands apart from the name of its file')
  const missing = named.filter(({ file, title }) => !has(read(file), title))
  assert.deepEqual(missing, [])
}

suite('docs/faults.md', () => {
  const page = read('docs/faults.md')
  const rows = page.split('\n').filter((line) => /^\| \d+ +\|/.test(line))

  test(`has all ${firstListLength} faults of the first list, in order, and then those of the second`, () => {
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

  test('has for each of them a test', () => {
    const without = rows.filter((row) => testsNamedIn(row).length === 0)
    assert.deepEqual(without, [])
  })

  test('names no test that does not exist', () => assertAllExist(page))

  test('would find out a test that was renamed', () => {
    const [first] = testsNamedIn(page) as [Named]
    assert.equal(has(read(first.file), `${first.title} or not`), false)
    assert.equal(has(read(first.file), first.title.slice(0, -1)), false)
  })
})

suite('docs/security.md', () => {
  const page = read('docs/security.md')

  test('names a test for everything that cannot be done', () => {
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
