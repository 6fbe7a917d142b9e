import { test } from 'node:test'

test('passes', () => {})
test('is skipped', { skip: 'a reason' }, () => {})
