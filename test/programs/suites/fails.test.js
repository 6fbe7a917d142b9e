import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { suite, test } from 'node:test'

suite('a suite', () => {
  test('fails while a command runs', (t) => {
    console.log('printed by the file')
    const child = spawn('sleep', ['1001'])
    t.after(() => child.kill())
    assert.equal(1, 2, 'the assertion')
  })
})
