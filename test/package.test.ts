/** The published package: packed, and installed into an empty project. */

import assert from 'node:assert/strict'
import { type SpawnSyncReturns, spawnSync } from 'node:child_process'
import {
  accessSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { patienceMs } from './harness/patience.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const sources = join(root, 'test', 'package')
const name = 'fastify-subprocess-guard'
const npmMs = 5 * patienceMs

/**
 * What each server prints: the answer of a route that spawns, then that of a route that hangs past its
 * deadline.
 */
const answers = /^200 spawned\n\n503 \{.*"code":"ERR_SUBPROCESS_DEADLINE".*\}\n$/

/** Flags of npm for a system, and the package with koffi's build for it. */
const systems: readonly [string[], string[]][] = [
  [['--os=linux', '--cpu=x64', '--libc=musl'], ['@koromix/koffi-linux-x64']],
  [['--os=linux', '--cpu=arm64', '--libc=glibc'], ['@koromix/koffi-linux-arm64']],
  [['--os=darwin', '--cpu=arm64'], ['@koromix/koffi-darwin-arm64']],
  [['--os=win32', '--cpu=x64'], ['@koromix/koffi-win32-x64']],
  [['--os=aix', '--cpu=ppc64'], []]
]

suite('the packed package', () => {
  const folder = mkdtempSync(join(tmpdir(), 'package-'))
  const project = join(folder, 'project')
  const installed = join(project, 'node_modules', name)
  after(() => rmSync(folder, { recursive: true, force: true }))

  let env: NodeJS.ProcessEnv

  before(() => {
    env = npmEnv(folder)
    // The package's scripts would rebuild `dist` while other tests use it.
    npm(['pack', '--ignore-scripts', '--pack-destination', folder], root, env)
    const tarball = readdirSync(folder).find((file) => file.endsWith('.tgz'))
    assert.ok(tarball)

    mkdirSync(project)
    writeFileSync(join(project, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
    const flags = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts']
    npm(['install', ...flags, join(folder, tarball)], project, env)

    // The dependencies of TypeScript projects with Express, linked to avoid another download.
    mkdirSync(join(project, 'node_modules/@types'), { recursive: true })
    for (const path of ['@types/node', '@types/express', 'express']) linkFromHere(path)
  })

  test('contains only the bundled entries, the types, the README and the licence', () => {
    const files = filesOf(installed)
    const entries = ['index', 'adapters/express', 'cli/subprocess-guard', 'keeper/main']
    const expected = entries.map((entry) => `dist/${entry}.js`)
    // Whether the changelog is included depends on the version of npm.
    const listed = files.filter(
      (file) => file !== 'CHANGELOG.md' && !/^dist\/(chunks\/[\w-]+\.js|.+\.d\.ts)$/.test(file)
    )
    assert.deepEqual(listed, ['LICENSE', 'README.md', 'package.json', ...expected].sort())
    // The types are checked by the compilers below. Those of parts that are not public are left out.
    const types = files.filter((file) => file.endsWith('.d.ts'))
    assert.ok(types.includes('dist/index.d.ts') && !types.includes('dist/keeper/keeper.d.ts'))
  })

  test('is smaller than 300 kB', () => {
    const [tarball] = readdirSync(folder).filter((file) => file.endsWith('.tgz'))
    assert.ok(statSync(join(folder, tarball as string)).size < 300_000)
  })

  for (const [system, build] of systems) {
    test(`installs only what it uses on ${system.join(' ')}`, () => {
      const other = mkdtempSync(join(folder, 'other-'))
      writeFileSync(join(other, 'package.json'), '{"private":true}')
      const flags = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts', '--dry-run', '--json']
      const [tarball] = readdirSync(folder).filter((file) => file.endsWith('.tgz'))
      const output = npm(['install', ...flags, ...system, join(folder, tarball as string)], other, env)
      // npm 10 prints the same as text before.
      const { add } = JSON.parse(output.slice(output.indexOf('{'))) as { add: { name: string }[] }
      assert.deepEqual(
        add.map((one) => one.name).sort(),
        [...build, 'commander', name, 'fastify-plugin', 'koffi', 'leven', 'p-timeout'].sort()
      )
    })
  }

  test('exports its entry points and its package.json, and no internal module', () => {
    assert.deepEqual(runProgram('exports.mjs').split('\n'), [
      'package.json resolves',
      'package.json resolves',
      'express resolves',
      'express resolves',
      'keeper resolves',
      'keeper resolves',
      'dist/guard/guard.js ERR_PACKAGE_PATH_NOT_EXPORTED',
      'dist/guard/guard.js ERR_PACKAGE_PATH_NOT_EXPORTED',
      ''
    ])
  })

  test('has a command that runs', () => {
    const { version } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'))
    const link = join(project, 'node_modules/.bin/subprocess-guard')
    const { status, stdout, stderr } = run(link, ['--version'], project)
    assert.deepEqual([status, stdout, stderr], [0, `${version}\n`, ''])
  })

  suite('without Fastify', () => {
    test('works with Express from TypeScript', () => {
      assert.equal(existsSync(join(project, 'node_modules/fastify')), false)
      compile(['--module', 'node16', '--moduleResolution', 'node16'], ['express.mts'])
      assert.match(runInProject('express.mjs'), answers)
    })
  })

  suite('with Fastify', () => {
    before(() => linkFromHere('fastify'))

    test('works from ESM', () => {
      assert.match(runProgram('esm.mjs'), answers)
    })

    test('works from CommonJS', () => {
      assert.match(runProgram('commonjs.cjs'), answers)
    })

    test('works from TypeScript with moduleResolution node16', () => {
      compile(['--module', 'node16', '--moduleResolution', 'node16'], ['consumer.mts'])
      assert.match(runInProject('consumer.mjs'), answers)
    })

    test('works from TypeScript as CommonJS', () => {
      compile(['--module', 'nodenext'], ['consumer.cts'])
      assert.match(runInProject('consumer.cjs'), answers)
    })

    test('works from TypeScript with moduleResolution bundler', () => {
      compile(['--module', 'esnext', '--moduleResolution', 'bundler'], ['consumer.ts', 'express.ts'])
      // The output is the same as that of the programs that ran above.
      for (const program of ['consumer', 'express']) {
        const [compiled, ran] = ['js', 'mjs'].map((type) =>
          readFileSync(join(project, `${program}.${type}`), 'utf8')
        )
        assert.equal(compiled, ran)
      }
    })
  })

  /** Links a package from our own node_modules into the project. */
  function linkFromHere(path: string): void {
    symlinkSync(join(root, 'node_modules', path), join(project, 'node_modules', path))
  }

  /**
   * Compiles programs of `test/package`. Their extension in the project sets the module type of the output.
   */
  function compile(flags: string[], files: string[]): void {
    for (const file of files) {
      copyFileSync(join(sources, file.replace(/\.[mc]?ts$/, '.mts')), join(project, file))
    }
    // skipLibCheck is off, so that our own declarations are checked too.
    const all = ['--strict', '--skipLibCheck', 'false', '--target', 'es2022', '--types', 'node']
    const tsc = join(root, 'node_modules/typescript/bin/tsc')
    const { status, stdout } = run(process.execPath, [tsc, ...all, ...flags, ...files], project)
    assert.equal(stdout, '')
    assert.equal(status, 0)
  }

  function runProgram(file: string): string {
    copyFileSync(join(sources, file), join(project, file))
    return runInProject(file)
  }

  /** Runs a program until it and every process that holds its stdout have ended. Returns its output. */
  function runInProject(file: string): string {
    const { status, stdout, stderr } = run(process.execPath, [file], project)
    // No ExperimentalWarning either: of all versions of Node that can require an ES module, only 22.12 and
    // 23.0 to 23.4 emit one.
    assert.equal(stderr, '')
    assert.equal(status, 0)
    return stdout
  }
})

function npm(args: string[], cwd: string, env = process.env): string {
  const cli = process.env.npm_execpath
  // Under another package manager or npx, it points to a program without these commands.
  const isNpm = cli?.endsWith('npm-cli.js') === true
  const [command, first] = isNpm ? [process.execPath, [cli]] : ['npm', []]
  const { status, stdout, stderr } = run(command, [...first, ...args], cwd, env, npmMs)
  assert.equal(status, 0, `npm ${args.join(' ')}\n${stdout}${stderr}`)
  return stdout
}

/**
 * The environment for npm: with the certificates for its registry. Where npm's own cache is not writable, the
 * cache is in `folder`.
 */
function npmEnv(folder: string): NodeJS.ProcessEnv {
  const certificates = process.env.NPM_CA_CERTS ?? process.env.NODE_EXTRA_CA_CERTS
  const env = { ...process.env, ...(certificates === undefined ? {} : { NODE_EXTRA_CA_CERTS: certificates }) }
  // npm sets this variable for the scripts that it runs.
  const cache = process.env.npm_config_cache ?? npm(['config', 'get', 'cache'], root).trim()
  try {
    mkdirSync(cache, { recursive: true })
    accessSync(cache, constants.W_OK)
    return env
  } catch {
    // An unprivileged user may have no home directory.
    return { ...env, npm_config_cache: join(folder, 'cache') }
  }
}

function run(
  command: string,
  args: string[],
  cwd: string,
  env = process.env,
  timeout = patienceMs
): SpawnSyncReturns<string> {
  const ended = spawnSync(command, args, { cwd, env, timeout, killSignal: 'SIGKILL', encoding: 'utf8' })
  // The program could not be started, or did not end in time.
  if (ended.error !== undefined) throw ended.error
  return ended
}

function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => statSync(join(folder, file)).isFile())
    .sort()
}
