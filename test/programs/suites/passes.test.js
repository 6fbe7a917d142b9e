import { suite, test } from 'node:test'

test('passes', () => {})
test('is skipped', { skip: 'a reason' }, () => {})
suite('a suite', { skip: 'another reason' }, () => {
  test('is not told of', () => {})
})
