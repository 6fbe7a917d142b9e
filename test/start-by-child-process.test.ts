/** Commands that the keeper starts through Node, on a libc like musl (docs/faults.md, 94). */

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

// Not exported by the package: import the compiled file.
const { startByChildProcess }: typeof StartByChildProcess = await compiled('keeper/start-by-child-process')

const folder = mkdtempSync(join(tmpdir(), 'start-by-node-test-'))
after(() => rmSync(folder, { recursive: true }))
const [empty, first, second] = ['empty', 'first', 'second'].map((name) => join(folder, name)) as [
  string,
  string,
  string
]
for (const path of [empty, first, second]) mkdirSync(path)
// The directory `says` and the non-executable file `says` are skipped by execvp(3).
mkdirSync(join(empty, 'says'))
writeFileSync(join(first, 'says'), 'echo "first, $1"')
writeFileSync(join(second, 'says'), 'echo "second, $0, $1"')
chmodSync(join(second, 'says'), 0o755)
writeFileSync(join(second, 'leaves'), 'exit 7')
chmodSync(join(second, 'leaves'), 0o755)
const PATH = [join(folder, 'missing'), empty, first, second, '/usr/bin', '/bin'].join(':')

/**
 * Starts a command with a file as its output. Resolves to the content of the file and to how the command
 * ended.
 */
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

suite('where execvp(3) does not run scripts without an interpreter line', () => {
  const { spawn } = childProcess
  const refused: string[] = []
  const unknown = 'Unknown system error -8'

  beforeEach(() => {
    refused.length = 0
    // The error that Node throws there.
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

  for (const [place, file, name, cwd] of [
    ['in its PATH', 'says', join(second, 'says'), folder],
    ['by its path', join(second, 'says'), join(second, 'says'), folder],
    ['by a relative path', './says', './says', second]
  ] as const) {
    test(`such a script that is found ${place} is run by the shell`, async () => {
      assert.deepEqual(await outcomeOf(file, 'said', cwd), { output: `second, ${name}, said\n`, end: 0 })
      assert.deepEqual(refused, [file])
    })
  }

  test('the exit status is that of the script', async () => {
    assert.deepEqual(await outcomeOf('leaves', ''), { output: '', end: 7 })
  })

  test('a file that the shell would not find either is still refused', async () => {
    assert.deepEqual(await outcomeOf('no-such-says', ''), { output: '', end: unknown })
  })
})
