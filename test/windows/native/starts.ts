/** The start of a command, compared with that of `child_process` in Node.js. */

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, suite, test } from 'node:test'
import type { WindowsStart } from '../../../lib/platform/windows/start-process.js'
import { allTexts } from '../../harness/split-command-line.js'
import { calls, library, start, tryStart } from './calls.js'
import { openInput } from './pipes.js'
import { program } from './programs.js'
import { pipeName } from './witness.js'

const folder = mkdtempSync(join(tmpdir(), 'sg '))
after(() => rmSync(folder, { recursive: true }))
const noProgram = join(folder, 'text.exe')
writeFileSync(noProgram, 'no program')
writeFileSync(join(folder, 'batch.cmd'), '@exit 0')

const getHandleCount = library.declare('int __stdcall GetProcessHandleCount(intptr_t, _Out_ uint32_t *)')

/** What a program says of its arguments, environment and directory. */
async function said(startWith: (env: NodeJS.ProcessEnv) => void): Promise<Record<string, unknown>> {
  const name = pipeName()
  const server = createServer().listen(name)
  await once(server, 'listening')
  startWith({ FIRST: 'ä', second: '', path: process.env.PATH, SAY_TO: name })
  const [socket] = await once(server, 'connection')
  server.close()
  return JSON.parse(await text(socket))
}

suite('a command', () => {
  const speaker = program('says-arguments')

  test('gets the arguments, environment and directory that Node gives', async () => {
    const args = [...allTexts(['a', ' ', '"', '\\'], 4), '\t', '%PATH%', '^&|<>', 'ä€😀', 'two\nlines']
    const byNode = await said((env) => {
      spawn(process.execPath, [speaker, ...args], { env, cwd: folder, stdio: 'ignore' })
    })
    const byCall = await said((env) => {
      void start(process.execPath, [speaker, ...args], { env, cwd: folder }).exit
    })
    assert.deepEqual(byCall.args, args)
    assert.deepEqual(byCall, byNode)
  })

  test('gets verbatim arguments', async () => {
    const options = { windowsVerbatimArguments: true }
    const args = ['"a b"', 'c d']
    const byNode = await said((env) => {
      spawn(process.execPath, [`"${speaker}"`, ...args], { ...options, env, cwd: folder, stdio: 'ignore' })
    })
    const byCall = await said((env) => {
      void start(process.execPath, [`"${speaker}"`, ...args], { ...options, env, cwd: folder }).exit
    })
    assert.deepEqual(byCall.args, ['a b', 'c', 'd'])
    assert.deepEqual(byCall, byNode)
  })

  test('is found in its own directory and PATH', async () => {
    const system = process.env.SYSTEMROOT as string
    const found: Partial<WindowsStart>[] = [
      { env: { PATH: `${folder};${system}\\system32` } },
      { env: { Path: `"${system}\\system32"` } },
      { env: {}, cwd: `${system}\\system32` }
    ]
    for (const more of found) assert.equal(await start('cmd', ['/c', 'exit 7'], more).exit, 7)
    assert.deepEqual(tryStart('cmd', [], { env: { PATH: folder } }), failureOfNode('nowhere', {}))
  })

  const failures: [title: string, file: string, more: Partial<WindowsStart>][] = [
    ['does not exist', 'nowhere', {}],
    ['does not exist at its path', join(folder, 'nowhere.exe'), {}],
    ['is a directory', folder, {}],
    ['is no program', noProgram, {}],
    ['is a batch file', 'batch.cmd', { cwd: folder }],
    ['has no directory to run in', process.execPath, { cwd: join(folder, 'nowhere') }]
  ]
  for (const [title, file, more] of failures) {
    test(`fails as in Node if it ${title}`, () => {
      const result = tryStart(file, [], more)
      assert.ok('code' in result)
      assert.deepEqual(result, failureOfNode(file, more))
    })
  }

  test('reports the exit code that Node reports', async () => {
    for (const code of [0, 1, 255, 3_221_225_786]) {
      // As a number with a sign.
      const args = ['/c', `exit ${code | 0}`]
      assert.equal(await start('cmd.exe', args).exit, code)
      assert.equal(spawnSync('cmd.exe', args).status, code)
    }
  })
})

test('starts leave no handle behind', async () => {
  const startAndFail = async (): Promise<void> => {
    const job = calls.createJob()
    const input = await openInput()
    await start('cmd.exe', ['/c', 'exit'], { job, stdio: [input.handle, 'ignore', 'inherit'] }).exit
    tryStart('nowhere', [], { job })
    tryStart(noProgram, [], { job })
    input.close()
    calls.closeHandle(job)
  }
  // The first start opens what is kept.
  await startAndFail()
  const before = handleCount()
  for (let count = 0; count < 20; count++) await startAndFail()
  const left = handleCount() - before
  assert.ok(left < 10, `${left} handles are left`)
  const open = Array.from({ length: 20 }, () => calls.createJob())
  assert.ok(handleCount() - before > 10, 'open handles do not count')
  for (const job of open) calls.closeHandle(job)
})

/** The number of open handles of this process. Under Wine, which does not tell, that of the next handle. */
function handleCount(): number {
  const count = [0]
  library.check('GetProcessHandleCount', getHandleCount(-1, count))
  if (count[0] !== 0) return count[0] as number
  const next = calls.createJob()
  calls.closeHandle(next)
  return next / 4
}

function failureOfNode(file: string, { cwd }: Partial<WindowsStart>): object {
  const { error } = spawnSync(file, [], { cwd }) as { error?: NodeJS.ErrnoException }
  return { code: error?.code, errno: error?.errno }
}
