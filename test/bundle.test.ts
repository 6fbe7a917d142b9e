/**
 * A bundled server works with the keeper's file beside it. Without that file, registration fails and no other
 * program is started as the keeper (fault 74 in docs/faults.md).
 */

import assert from 'node:assert/strict'
import { type SpawnSyncReturns, spawnSync } from 'node:child_process'
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { keeperFile } from './harness/compiled.js'
import { bestLevel, levelWithoutKoffi } from './harness/level.js'
import { patienceMs } from './harness/patience.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const name = 'fastify-subprocess-guard'
const keeperName = 'subprocess-guard-keeper.mjs'
const folder = realpathSync(mkdtempSync(join(tmpdir(), 'bundle-test-')))
const project = join(folder, 'project')
const starts = join(folder, 'starts')
after(() => rmSync(folder, { recursive: true }))

/** The two ways to bundle that docs/deployment.md documents. */
const documentedBundles = [
  ...readFileSync(join(root, 'docs/deployment.md'), 'utf8').matchAll(/```sh\n(npx esbuild .*?)```/gs)
]
  .map(([, commands = '']) => ({ commands, format: /--format=(\w+)/.exec(commands)?.[1] ?? '' }))
  .map((way) => ({ ...way, bundle: /--outfile=dist\/(\S+)/.exec(way.commands)?.[1] ?? '' }))
assert.deepEqual(
  documentedBundles.map(({ format }) => format),
  ['cjs', 'esm']
)

interface Outcome {
  readonly containment?: string
  readonly output?: string
  readonly code?: string
  readonly message?: string
}

/** Runs a server until it exits. */
function runServer(bundle: string, guard: object = {}): SpawnSyncReturns<string> & { outcome: Outcome } {
  writeFileSync(starts, '')
  const env = { ...process.env, STARTS: starts, GUARD: JSON.stringify(guard) }
  const ended = run(process.execPath, ['--unhandled-rejections=strict', bundle], dirname(bundle), env)
  assert.equal(readFileSync(starts, 'utf8').split('\n').length, 2, 'the server was started more than once')
  assert.notEqual(ended.stdout, '', ended.stderr)
  return Object.assign(ended, { outcome: JSON.parse(ended.stdout.split('\n')[0] ?? '') })
}

function run(command: string, args: string[], cwd: string, env = process.env): SpawnSyncReturns<string> {
  const ended = spawnSync(command, args, {
    cwd,
    env,
    encoding: 'utf8',
    timeout: patienceMs,
    killSignal: 'SIGKILL'
  })
  if (ended.error !== undefined) throw ended.error
  return ended
}

/** Asserts that registration fails with an error that gives the reason and the way out. */
function assertRefused(
  { status, outcome, stderr }: ReturnType<typeof runServer>,
  ...messageParts: RegExp[]
): void {
  assert.equal(outcome.code, 'ERR_SUBPROCESS_KEEPER_START', stderr)
  for (const part of messageParts) assert.match(outcome.message ?? '', part)
  assert.equal(stderr, '')
  assert.equal(status, 0)
}

const served = { containment: bestLevel, output: 'said, \n' }

/** Creates a directory whose `node_modules` holds only what cannot be bundled. */
function createDeployment(to: string): string {
  const deployed = join(folder, to)
  mkdirSync(join(deployed, 'node_modules'), { recursive: true })
  for (const path of ['koffi', '@koromix']) link(path, deployed)
  return deployed
}

function link(path: string, to: string): void {
  symlinkSync(join(root, 'node_modules', path), join(to, 'node_modules', path))
}

/** Bundles the server into `file`. */
function bundle(format: string, file: string, ...flags: string[]): void {
  const banner = `--banner:js=import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)`
  const esbuild = join(root, 'node_modules/.bin/esbuild')
  const common = ['--bundle', '--platform=node', '--external:koffi', '--log-level=error']
  const specific = [
    `--format=${format}`,
    `--outfile=${file}`,
    ...(format === 'esm' ? [banner] : []),
    ...flags
  ]
  const { status, stderr } = run(esbuild, ['server.js', ...common, ...specific], project)
  assert.equal(status, 0, stderr)
}

before(() => {
  mkdirSync(join(project, 'node_modules/.bin'), { recursive: true })
  writeFileSync(join(project, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
  for (const path of ['fastify', 'koffi', '@koromix', 'esbuild', '.bin/esbuild']) link(path, project)
  symlinkSync(root, join(project, 'node_modules', name))
  copyFileSync(join(root, 'test/bundle/server.js'), join(project, 'server.js'))
})

for (const { format, commands, bundle: file } of documentedBundles) {
  suite(`a server bundled with esbuild as documented, format ${format}`, () => {
    let deployed: string

    before(() => {
      const { status, stderr } = run('sh', ['-ec', commands], project)
      assert.equal(status, 0, stderr)
      deployed = createDeployment(`deployed-${format}`)
      cpSync(join(project, 'dist'), deployed, { recursive: true })
      rmSync(join(project, 'dist'), { recursive: true })
    })

    test('runs its commands with the keeper beside it', () => {
      const { outcome, stderr } = runServer(join(deployed, file))
      assert.deepEqual(outcome, served)
      assert.equal(stderr, '')
    })

    test('is aborted when it hangs, with its stack logged and its hooks run', () => {
      const hooks = join(deployed, 'hooks.mjs')
      writeFileSync(hooks, `export const workerAbort = ({ worker }) => console.log('told of', worker)`)
      const { outcome, stdout, stderr, signal, pid } = runServer(join(deployed, file), {
        workerTimeout: 3_000,
        hooks,
        isToHang: true
      })
      assert.deepEqual(outcome, served)
      assert.match(stderr, /at hangForEver \(/)
      assert.match(stdout, new RegExp(`^told of ${pid}$`, 'm'))
      assert.equal(signal, 'SIGABRT')
    })

    test('refuses a keeper of another version', (t) => {
      const keeper = join(deployed, keeperName)
      const source = readFileSync(keeper, 'utf8')
      t.after(() => writeFileSync(keeper, source))
      const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
      writeFileSync(keeper, source.replace(`keeper ${version}`, 'keeper 0.0.1-rc'))
      assertRefused(
        runServer(join(deployed, file)),
        new RegExp(`${keeperName} is the keeper of version 0\\.0\\.1-rc, and this is version ${version}`)
      )
    })

    test('works without koffi, and reports containment level marks', () => {
      const bare = join(folder, `bare-${format}`)
      cpSync(deployed, bare, { recursive: true, filter: (path) => !path.includes('node_modules') })
      assert.deepEqual(runServer(join(bare, file)).outcome, { ...served, containment: levelWithoutKoffi })
    })
  })
}

suite('a bundled server without the keeper’s file', () => {
  // Some of these are the paths that the keeper's file has inside the package, and that the files of hook and
  // thread had before they became one file with it.
  for (const [format, file] of [
    ['cjs', 'dist/main.js'],
    ['esm', 'dist/main.js'],
    ['cjs', 'dist/keeper/main.js'],
    ['esm', 'dist/keeper.js'],
    ['esm', 'server.mjs'],
    ['cjs', 'server.cjs'],
    ['esm', 'thread.js']
  ] as const) {
    test(`fails at registration and names the way out: ${file}, format ${format}`, () => {
      const deployed = createDeployment(`without/${format}/${file.replaceAll('/', '-')}`)
      const type = format === 'cjs' ? 'commonjs' : 'module'
      writeFileSync(join(deployed, 'package.json'), JSON.stringify({ type }))
      const path = join(deployed, file)
      bundle(format, path, '--minify')
      const found = file.endsWith('keeper/main.js')
        ? /main\.js is another program/
        : /main\.js cannot be read \(ENOENT\)/
      const wayOut =
        /copy of the file fastify-subprocess-guard\/keeper under the name subprocess-guard-keeper\.mjs/
      assertRefused(runServer(path), found, wayOut, /"Bundling" in docs\/deployment\.md/)

      copyFileSync(keeperFile, join(dirname(path), keeperName))
      assert.deepEqual(runServer(path).outcome, served)
    })
  }
})

suite('keeperPath', () => {
  let file: string
  before(() => {
    const deployed = createDeployment('elsewhere')
    file = join(deployed, 'server.mjs')
    bundle('esm', file)
    mkdirSync(join(deployed, 'keepers'))
  })

  for (const [what, given] of [
    ['a path', (path: string) => path],
    ['a URL', (path: string) => pathToFileURL(path).href]
  ] as const) {
    test(`accepts ${what} of the keeper’s file`, (t) => {
      const path = join(dirname(file), 'keepers', 'the keeper.mjs')
      copyFileSync(keeperFile, path)
      t.after(() => rmSync(path))
      assert.deepEqual(runServer(file, { keeperPath: given(path) }).outcome, served)
    })
  }

  test('that names another program is refused, and that program is not run', () => {
    const text = /keeperPath: \S+server\.mjs is another program/
    assertRefused(runServer(file, { keeperPath: file }), text, /"Bundling"/)
  })

  test('that names a missing file is an error, even with a keeper beside the server', () => {
    const missing = join(dirname(file), 'missing.mjs')
    const beside = join(dirname(file), keeperName)
    copyFileSync(keeperFile, beside)
    assertRefused(
      runServer(file, { keeperPath: missing }),
      /keeperPath: \S+missing\.mjs cannot be read \(ENOENT\)/
    )
    rmSync(beside)
  })

  test('that is relative is an error', () => {
    const { outcome } = runServer(file, { keeperPath: './keeper.mjs' })
    assert.equal(outcome.code, 'ERR_SUBPROCESS_OPTION')
    assert.match(outcome.message ?? '', /keeperPath is "\.\/keeper\.mjs": set it to new URL\(.*absolute path/)
  })
})
