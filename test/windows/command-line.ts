/** The command `subprocess-guard` and hooks on Windows. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { test } from './run-tests.js'
import { TestServer } from './server.js'

const cli = new URL('../../../dist/cli/subprocess-guard.js', import.meta.url)

async function run(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  return promisify(execFile)(process.execPath, [cli.pathname.replace(/^\//, ''), ...args])
}

test('ps shows a worker, its scope and the processes', async () => {
  const server = await TestServer.start()
  server.request('/waits?name=a')
  await server.witness.comes('agrandchild')
  const workers = JSON.parse((await run('ps', '--json')).stdout)
  const shown = workers.find(({ worker }: { worker: number }) => worker === server.process.pid)
  assert.equal(shown.keeper, server.keeper)
  assert.equal(shown.containment, 'job')
  const [scope] = shown.scopes
  assert.equal(scope.route, 'GET /waits')
  const pids = scope.processes.map(({ pid }: { pid: number }) => pid)
  assert.ok(pids.includes(await server.witness.comes('agrandchild')))
  assert.match((await run('ps')).stdout, /deadline .*GET \/waits/)
  await server.close()
})

test('doctor finds that commands can be in job objects', async () => {
  const { containment } = JSON.parse((await run('doctor', '--json')).stdout)
  assert.equal(containment, 'job')
})

test('a sweep removes the directory of a dead worker, and that of no living one', async () => {
  const server = await TestServer.start()
  const folders = readdirSync(tmpdir()).filter((name) => name.startsWith('subprocess-guard-'))
  const own = folders.find((name) => name.split('_')[1] === server.process.pid?.toString(36)) as string
  assert.ok(existsSync(join(tmpdir(), own)))
  // No process has this pid: those of Windows can be divided by 4.
  const dead = own.replace(/_[^_]+_/, '_1_')
  mkdirSync(join(tmpdir(), dead))
  const { stderr } = await run('sweep')
  assert.match(stderr, /only directories are removed/)
  assert.equal(existsSync(join(tmpdir(), dead)), false)
  assert.ok(existsSync(join(tmpdir(), own)))
  await server.close()
  assert.equal(existsSync(join(tmpdir(), own)), false)
})

test('the hook workerExit runs when the worker was ended', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'windows-hooks-'))
  const [module, output] = [join(folder, 'hooks.mjs'), join(folder, 'output')]
  writeFileSync(
    module,
    `import { writeFileSync } from 'node:fs'
    export function workerExit({ worker, why }) { writeFileSync(${JSON.stringify(output)}, \`\${worker} \${why}\`) }`
  )
  const server = await TestServer.start({ hooks: pathToFileURL(module).href })
  await server.kill()
  while (!existsSync(output) || readFileSync(output, 'utf8') === '') {
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  assert.equal(readFileSync(output, 'utf8'), `${server.process.pid} gone`)
  server.witness.close()
})
