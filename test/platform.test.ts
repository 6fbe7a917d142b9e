/**
 * Only lib/platform depends on the operating system, and it has one implementation of everything for each
 * system.
 */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { keeperFile } from './harness/compiled.js'

const lib = fileURLToPath(new URL('../../lib/', import.meta.url))
const files = readdirSync(lib, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'))

suite('the operating system', () => {
  test('is named in lib/platform only', () => {
    const others = files.filter((path) => !path.startsWith('platform/'))
    assert.ok(others.length > 50)
    const naming = others.filter((path) =>
      /process\.platform|\/proc\b|\bkoffi\b/.test(readFileSync(join(lib, path), 'utf8'))
    )
    assert.deepEqual(naming, [])
  })

  test('is diagnosed by code that no keeper contains', () => {
    const keeper = readFileSync(keeperFile, 'utf8')
    assert.match(keeper, /function statOf/)
    assert.doesNotMatch(keeper, /diagnosis/i)
  })
})

test('no two files of lib have the same name', () => {
  const names = files.map((path) => basename(path))
  assert.deepEqual(
    names.filter((name, index) => names.indexOf(name) !== index),
    []
  )
})
