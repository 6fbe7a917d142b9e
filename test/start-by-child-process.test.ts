/** Commands that the keeper starts by Node, on a libc as musl is (FAULTS 94). */

import assert from 'node:assert/strict'
import childProcess from 'node:child_process'
import {
  chmodSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync
} from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, beforeEach, suite, test } from 'node:test'
import type * as StartByChildProcess from '../lib/keeper/start-by-child-process.js'
import { compiled } from './harness/compiled.js'

// Not public: the compiled file itself.
const { startByChildProcess }: typeof StartByChildProcess = await compiled('keeper/start-by-child-process')

const folder = mkdtempSync(join(tmpdir(), 'start-by-node-test-'))
after(() => rmSync(folder, { recursive: true }))
const [empty, first, second] = ['empty', 'first', 'second'].map((name) => join(folder, name)) as [
  string,
  string,
  string
]
for (const path of [empty, first, second]) mkdirSync(path)
// What execvp(3) passes over.
mkdirSync(join(empty, 'says'))
writeFileSync(join(first, 'says'), 'echo "first, $1"')
writeFileSync(join(second, 'says'), 'echo "second, $0, $1"')
chmodSync(join(second, 'says'), 0o755)
writeFileSync(join(second, 'leaves'), 'exit 7')
chmodSync(join(second, 'leaves'), 0o755)
const PATH = [join(folder, 'missing'), empty, first, second, '/usr/bin', '/bin'].join(':')

/** Starts it with a file as its output. Resolves with what is in it, and with how the command ended. */
async function outcomeOf(file: string, arg: string, cwd = folder): Promise<{ output: string; end: unknown }> {
  const output = join(folder, 'output')
  const descriptor = openSync(output, 'w')
  const end = await new Promise((resolve) => {
    startByChildProcess(
      {
        file,
        args: [file, arg],
        cwd,
        env: { PATH },
        mark: 'mark',
        command: 1,
        stdio: ['ignore', { fd: descriptor } as never, 'inherit']
      },
      { exited: (code, signal) => resolve(code ?? signal), failed: ({ code }) => resolve(code) }
    )
  })
  closeSync(descriptor)
  return { output: readFileSync(output, 'utf8'), end }
}

suite('where execvp(3) runs no script that names no interpreter', () => {
  const { spawn } = childProcess
  const refused: string[] = []
  const unknown = 'Unknown system error -8'

  beforeEach(() => {
    refused.length = 0
    // As Node throws it there.
    childProcess.spawn = ((file: string, ...rest: [never, never]) => {
      if (!file.endsWith('says') && !file.endsWith('leaves')) return spawn(file, ...rest)
      refused.push(file)
      const errno = -constants.errno.ENOEXEC
      throw Object.assign(new Error(`spawn ${unknown}`), { code: unknown, errno, syscall: 'spawn' })
    }) as typeof spawn
    syncBuiltinESMExports()
  })
  afterEach(() => {
    childProcess.spawn = spawn
    syncBuiltinESMExports()
  })

  for (const [how, file, name, cwd] of [
    ['in its PATH', 'says', join(second, 'says'), folder],
    ['by its path', join(second, 'says'), join(second, 'says'), folder],
    ['by a relative path', './says', './says', second]
  ] as const) {
    test(`the shell runs one that is found ${how}`, async () => {
      assert.deepEqual(await outcomeOf(file, 'said', cwd), { output: `second, ${name}, said\n`, end: 0 })
      assert.deepEqual(refused, [file])
    })
  }

  test('its status is that of the script', async () => {
    assert.deepEqual(await outcomeOf('leaves', ''), { output: '', end: 7 })
  })

  test('what the shell could not find either is refused as before', async () => {
    assert.deepEqual(await outcomeOf('no-such-says', ''), { output: '', end: unknown })
  })
})
