/** The package as it is published: packed, and installed in an empty project. */

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

/** What each server prints: of a route that spawns, and of one that hangs past its deadline. */
const answers = /^200 spawned\n\n503 \{.*"code":"ERR_SUBPROCESS_DEADLINE".*\}\n$/

suite('the packed package', () => {
  const folder = mkdtempSync(join(tmpdir(), 'package-'))
  const project = join(folder, 'project')
  const installed = join(project, 'node_modules', name)
  after(() => rmSync(folder, { recursive: true, force: true }))

  let env: NodeJS.ProcessEnv

  before(() => {
    env = npmEnv(folder)
    // Its scripts would build `dist` anew under the other tests.
    npm(['pack', '--ignore-scripts', '--pack-destination', folder], root, env)
    const tarball = readdirSync(folder).find((file) => file.endsWith('.tgz'))
    assert.ok(tarball)

    mkdirSync(project)
    writeFileSync(join(project, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
    const flags = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts']
    npm(['install', ...flags, join(folder, tarball)], project, env)

    // What TypeScript projects with Express have, without another download.
    mkdirSync(join(project, 'node_modules/@types'), { recursive: true })
    for (const path of ['@types/node', '@types/express', 'express']) linkFromHere(path)
  })

  test('holds the compiled sources, the README and the licence, and nothing else', () => {
    const files = filesOf(installed)
    assert.ok(files.includes('dist/keeper/main.js'))
    const compiled = filesOf(join(root, 'lib'))
      .map((file) => file.replace(/\.ts$/, ''))
      .flatMap((file) => [`dist/${file}.js`, `dist/${file}.d.ts`])
    // Whether a changelog goes along is for npm to say.
    const given = files.filter((file) => file !== 'CHANGELOG.md')
    assert.deepEqual(given, ['LICENSE', 'README.md', 'package.json', ...compiled].sort())
  })

  test('gives out its entries and its package.json, and nothing within', () => {
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
      // What runs is what ran above.
      for (const program of ['consumer', 'express']) {
        const [compiled, ran] = ['js', 'mjs'].map((type) =>
          readFileSync(join(project, `${program}.${type}`), 'utf8')
        )
        assert.equal(compiled, ran)
      }
    })
  })

  /** Gives the project a package that this one has. */
  function linkFromHere(path: string): void {
    symlinkSync(join(root, 'node_modules', path), join(project, 'node_modules', path))
  }

  /** Compiles programs that are sources of the tests, under names that say what becomes of them. */
  function compile(flags: string[], files: string[]): void {
    for (const file of files) {
      copyFileSync(join(sources, file.replace(/\.[mc]?ts$/, '.mts')), join(project, file))
    }
    // Our own declarations are checked too.
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

  /** Runs a program to its end, and to that of every process that holds its stdout. */
  function runInProject(file: string): string {
    const { status, stdout, stderr } = run(process.execPath, [file], project)
    // No ExperimentalWarning either: of all versions that can require an ES module, only 22.12 and 23.0 to
    // 23.4 give one.
    assert.equal(stderr, '')
    assert.equal(status, 0)
    return stdout
  }
})

function npm(args: string[], cwd: string, env = process.env): string {
  const cli = process.env.npm_execpath
  // Under another package manager, or npx, it names a program that does not know these commands.
  const isNpm = cli?.endsWith('npm-cli.js') === true
  const [command, first] = isNpm ? [process.execPath, [cli]] : ['npm', []]
  const { status, stdout, stderr } = run(command, [...first, ...args], cwd, env, npmMs)
  assert.equal(status, 0, `npm ${args.join(' ')}\n${stdout}${stderr}`)
  return stdout
}

/** The environment for npm: with the certificates for its registry, and a cache in that folder where its own cannot be written. */
function npmEnv(folder: string): NodeJS.ProcessEnv {
  const certificates = process.env.NPM_CA_CERTS ?? process.env.NODE_EXTRA_CA_CERTS
  const env = { ...process.env, ...(certificates === undefined ? {} : { NODE_EXTRA_CA_CERTS: certificates }) }
  // npm tells it to the scripts that it runs.
  const cache = process.env.npm_config_cache ?? npm(['config', 'get', 'cache'], root).trim()
  try {
    mkdirSync(cache, { recursive: true })
    accessSync(cache, constants.W_OK)
    return env
  } catch {
    // A user without rights may have no home of its own.
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
  // Not started, or not ended in time.
  if (ended.error !== undefined) throw ended.error
  return ended
}

function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => statSync(join(folder, file)).isFile())
    .sort()
}
