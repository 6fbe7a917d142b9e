import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

test('passes, and leaves a file', () => writeFileSync(join(tmpdir(), 'left'), ''))
