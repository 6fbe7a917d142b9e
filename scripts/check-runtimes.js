// Checks that registration fails with the right message if `process.execPath` is not Node.js, or if the keeper's file is in an archive:
// `check-runtimes.js FOLDER`. The runtimes are installed into FOLDER. `npm test` covers the same cases with a Node.js that pretends to be
// these runtimes.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'

const packages = ['deno@2.9.6', 'bun@1.4.5', 'postject@1.0.0-alpha.6', '@yarnpkg/cli-dist@4.18.1']

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = resolve(process.argv[2] ?? assert.fail('usage: check-runtimes.js FOLDER'))
mkdirSync(folder, { recursive: true })
const flags = ['--silent', '--no-save', '--no-package-lock', '--prefix', folder]
execFileSync('npm', ['install', ...flags, ...packages], { stdio: 'inherit' })
const bin = (name) => join(folder, 'node_modules/.bin', name)

const server = `
  import { createGuard } from 'fastify-subprocess-guard'
  createGuard().then(
    () => console.log('it has started'),
    ({ code, message }) => console.log(code, message)
  )`
const project = join(folder, 'project')
mkdirSync(join(project, 'node_modules'), { recursive: true })
symlinkSync(root, join(project, 'node_modules/fastify-subprocess-guard'))
writeFileSync(join(project, 'package.json'), '{"private":true,"type":"module"}')
writeFileSync(join(project, 'server.js'), server)

check('Deno', /deno is Deno 2\.\S+ and cannot run the keeper/, [
  bin('deno'),
  'run',
  '--allow-all',
  'server.js'
])
check('Bun', /is Bun 1\.\S+ and cannot run the keeper/, [bin('bun'), 'server.js'])

makeExecutable(join(project, 'single'))
const single = /single is a single executable application and cannot run the keeper/
check('a single executable application', single, [join(project, 'single')])
const inPlace = spawnSync(join(project, 'single'), {
  env: { ...process.env, SUBPROCESS_GUARD_KEEPER: 'mark' },
  encoding: 'utf8'
})
assert.match(inPlace.stderr, /was started as the keeper of process/)
assert.equal(inPlace.status, 1)

const yarn = [
  process.execPath,
  createRequire(join(folder, 'here.js')).resolve('@yarnpkg/cli-dist/bin/yarn.js')
]
const withYarn = installByYarn(join(folder, 'with-yarn'))
check('Yarn', /Plug'n'Play keeps packages in archives.*nodeLinker/, [...yarn, 'node', 'server.js'], withYarn)

/** Runs a server, which says why it does not start, and nothing else. */
function check(name, said, [command, ...args], cwd = project) {
  const { stdout, stderr, status, error } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    timeout: 60_000
  })
  assert.equal(error, undefined)
  assert.match(stdout, /^ERR_SUBPROCESS_KEEPER_START .*\n$/, `${name}: ${stderr}`)
  assert.match(stdout, said)
  assert.equal(status, 0)
  console.log(name, stdout.trim())
}

/** Builds the server as Node's documentation has it for Node 20. */
function makeExecutable(path) {
  const outfile = join(project, 'single.cjs')
  const options = { bundle: true, platform: 'node', format: 'cjs', external: ['koffi'], logLevel: 'error' }
  buildSync({ ...options, absWorkingDir: project, entryPoints: ['server.js'], outfile })
  const config = { main: outfile, output: join(project, 'single.blob'), disableExperimentalSEAWarning: true }
  writeFileSync(join(project, 'single.json'), JSON.stringify(config))
  run(project, process.execPath, '--experimental-sea-config', 'single.json')
  copyFileSync(process.execPath, path)
  const fuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2'
  run(project, bin('postject'), path, 'NODE_SEA_BLOB', config.output, '--sentinel-fuse', fuse)
}

/** Installs the package as it is published, by Yarn with Plug'n'Play, its default. */
function installByYarn(path) {
  mkdirSync(path)
  run(root, 'npm', 'pack', '--silent', '--ignore-scripts', '--pack-destination', path)
  const [packed] = readdirSync(path)
  const dependencies = { fastify: versionHere('fastify'), 'fastify-subprocess-guard': `file:./${packed}` }
  writeFileSync(join(path, 'package.json'), JSON.stringify({ private: true, type: 'module', dependencies }))
  const settings = {
    npmRegistryServer: execFileSync('npm', ['config', 'get', 'registry'], { encoding: 'utf8' }).trim(),
    enableGlobalCache: false,
    enableImmutableInstalls: false,
    enableScripts: false,
    enableTelemetry: false
  }
  // JSON is YAML, too.
  writeFileSync(join(path, '.yarnrc.yml'), JSON.stringify(settings))
  writeFileSync(join(path, 'yarn.lock'), '')
  writeFileSync(join(path, 'server.js'), server)
  run(path, ...yarn, 'install')
  return path
}

function versionHere(name) {
  return JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8')).version
}

function run(cwd, command, ...args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    timeout: 300_000
  })
  assert.equal(error, undefined)
  assert.equal(status, 0, `${stdout}${stderr}`)
}
