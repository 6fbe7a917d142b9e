import { spawn } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

test('hangs beside a daemon and a folder', async () => {
  mkdtempSync(join(tmpdir(), 'left-'))
  const daemon = 'exec 9>"$WITNESS"; echo "alive $$ daemon" >&9; exec sleep 1000'
  spawn('sh', ['-c', daemon], { detached: true, stdio: 'ignore' })
  await new Promise((resolve) => setTimeout(resolve, 1_000_000))
})
