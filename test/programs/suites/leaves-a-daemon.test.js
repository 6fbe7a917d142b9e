import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { test } from 'node:test'

// Only its working directory gives it away: it has its own session and no environment.
const daemon = 'exec 9>"$WITNESS"; echo "alive $$ daemon" >&9; echo ready; exec env -i sleep 1000'

test('passes, and leaves a daemon', async () => {
  const child = spawn('sh', ['-c', daemon], {
    cwd: tmpdir(),
    detached: true,
    stdio: ['ignore', 'pipe', 'ignore']
  })
  await once(child.stdout, 'data')
  child.stdout.destroy()
  child.unref()
})
