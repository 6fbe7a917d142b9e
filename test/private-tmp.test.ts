/**
 * With the option privateTmp, what killed programs leave in TMPDIR is removed with their scope
 * (docs/faults.md, 91).
 */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, beforeEach, suite, type TestContext, test } from 'node:test'
import { createGuard, type ForkOptions, type GuardOptions } from 'fastify-subprocess-guard'
import { ask } from './harness/client.js'
import { distantMs, passDeadlines } from './harness/deadlines.js'
import { assertGone, eventually } from './harness/expectations.js'
import { Guarded } from './harness/guarded.js'
import { kinds } from './harness/kinds.js'
import { whyNoOther } from './harness/no-room.js'
import { environmentOf } from './harness/proc.js'
import { sweep } from './harness/sweeper.js'
import { installWithoutKoffi } from './harness/without-koffi.js'
import { Worker } from './harness/worker.js'

const nobody = 65_534
const program = 'leaves-temporary-files.sh'
const processCount = 2
const withoutKoffi = await installWithoutKoffi()
const originalTmpdir = process.env.TMPDIR
// Contains the TMPDIR of each test, and whatever a test leaves.
const testFolder = mkdtempSync(join(tmpdir(), 'p-'))
chmodSync(testFolder, 0o755)
after(() => {
  if (originalTmpdir === undefined) delete process.env.TMPDIR
  else process.env.TMPDIR = originalTmpdir
  rmSync(testFolder, { recursive: true, force: true })
  withoutKoffi.remove()
})

/** A new directory for each test, used as the worker's own TMPDIR. */
let tmp = testFolder
beforeEach(() => {
  process.env.TMPDIR = testFolder
  tmp = mkdtempSync(join(testFolder, 't-'))
  chmodSync(tmp, 0o755)
})

interface Setup {
  readonly name: string
  readonly launch: 'keeper' | 'direct'
  readonly create: typeof createGuard
  readonly url: string | undefined
}

const setups: readonly Setup[] = [
  { name: 'subreaper, keeper', launch: 'keeper', create: createGuard, url: undefined },
  { name: 'subreaper, direct', launch: 'direct', create: createGuard, url: undefined },
  { name: 'marks, keeper', launch: 'keeper', create: withoutKoffi.createGuard, url: withoutKoffi.url },
  { name: 'marks, direct', launch: 'direct', create: withoutKoffi.createGuard, url: withoutKoffi.url }
]

for (const setup of setups) {
  const { launch, create, url } = setup
  const env = url === undefined ? {} : { GUARD_PACKAGE: url }

  async function startGuarded(t: TestContext, options: GuardOptions = {}): Promise<Guarded> {
    process.env.TMPDIR = testFolder
    const guarded = await Guarded.start({ launch, timeout: false, privateTmp: true, ...options }, create)
    process.env.TMPDIR = tmp
    t.after(() => guarded.close())
    return guarded
  }

  suite(`privateTmp (${setup.name})`, () => {
    test('gives the commands of a scope one private directory, which is removed with what they left', async (t) => {
      const guarded = await startGuarded(t)
      const scope = guarded.guard.open()
      assert.deepEqual(readdirSync(tmp), [], 'the directory is made when a command needs it')
      guarded.run(scope, program)
      await guarded.witness.present(processCount)
      const [path] = foldersOf(guarded)
      assert.equal(dirname(path as string), tmp)
      assert.equal(statSync(path as string).mode & 0o777, 0o700)
      assert.equal(readFileSync(join(path as string, 'more'), 'utf8'), 'more\n')
      assert.equal((await scope.execFile('sh', ['-c', 'echo $TMPDIR'])).stdout, `${path}\n`)
      assert.deepEqual(readdirSync(tmp).length, 1)
      const { leftFolders } = await scope.close()
      assert.deepEqual([leftFolders, readdirSync(tmp)], [[], []])
      assert.deepEqual(readdirSync('/').length > 0, true)
    })

    test('when it is off leaves the files', async (t) => {
      const guarded = await startGuarded(t, { privateTmp: false })
      const scope = guarded.guard.open()
      guarded.run(scope, program)
      await guarded.witness.present(processCount)
      await scope.close()
      assert.deepEqual(readdirSync(tmp).sort(), ['closed', 'more', 'profile'])
      chmodSync(join(tmp, 'closed'), 0o700)
    })

    test('can be turned on or off for a single command', async (t) => {
      for (const [privateTmp, other] of [
        [false, true],
        [true, false]
      ] as const) {
        const guarded = await startGuarded(t, { privateTmp })
        const scope = guarded.guard.open()
        const folderOf = async (options: object): Promise<string> =>
          dirname((await scope.execFile('sh', ['-c', 'echo $TMPDIR/x'], options)).stdout.trim())
        const isPrivate = async (options: object): Promise<boolean> => (await folderOf(options)) !== tmp
        assert.deepEqual([await isPrivate({}), await isPrivate({ privateTmp: other })], [privateTmp, other])
        await scope.close()
        assert.deepEqual(readdirSync(tmp), [])
      }
    })

    test('keeps variables that the environment of a command sets to another value than the worker’s', async (t) => {
      const { guard } = await startGuarded(t)
      const scope = guard.open()
      const tmpVariables = async (env: NodeJS.ProcessEnv): Promise<string[]> =>
        (await scope.execFile('sh', ['-c', 'echo "$TMPDIR:$TMP:$TEMP"'], { env })).stdout.trim().split(':')
      const [path] = await tmpVariables({ ...process.env, OTHER: '1' })
      assert.equal(dirname(path as string), tmp)
      assert.deepEqual(await tmpVariables({ TMPDIR: '/own', PATH: process.env.PATH }), ['/own', path, path])
      assert.deepEqual(await tmpVariables({ TMPDIR: '/1', TMP: '/2', TEMP: '/3', PATH: process.env.PATH }), [
        '/1',
        '/2',
        '/3'
      ])
      await scope.close()
    })

    test('applies to fork and to stream', async (t) => {
      const guarded = await startGuarded(t, { privateTmp: false })
      const scope = guarded.guard.open()
      const options: ForkOptions = { privateTmp: true, env: guarded.witness.env, stdio: 'ignore' }
      const child = scope.fork(new URL('./harness/forked.js', import.meta.url), [], options)
      await once(child, 'spawn')
      await eventually('the child runs', () => variableOf(child.pid as number, 'TMPDIR') !== undefined)
      const path = variableOf(child.pid as number, 'TMPDIR')
      assert.equal(dirname(path as string), tmp)
      const chunks = await scope.stream('sh', ['-c', 'echo $TEMP'], { privateTmp: true }).toArray()
      assert.equal(Buffer.concat(chunks).toString(), `${path}\n`)
      await scope.close()
      assert.deepEqual(readdirSync(tmp), [])
    })

    test('removes the directory when the worker is killed', async (t) => {
      const worker = await Worker.start({ launch, options: { privateTmp: true }, env })
      t.after(() => worker.close())
      worker.run(program)
      await worker.witness.present(processCount)
      assert.equal(worker.temporaryFiles().length, 2)
      worker.kill('SIGKILL')
      await worker.keeperDead()
      await assertGone(worker)
      assert.deepEqual(worker.temporaryFiles(), [])
    })

    test('removes the directory when the keeper is killed', async (t) => {
      const guarded = await startGuarded(t)
      const scope = guarded.guard.open()
      guarded.run(scope, program)
      await guarded.witness.present(processCount)
      process.kill(guarded.guard.keeper, 'SIGKILL')
      await scope.closed
      const [path] = foldersOf(guarded)
      assert.equal(existsSync(path as string), false)
    })

    test('leaves the directory to the next sweep when both are killed', async (t) => {
      const worker = await Worker.start({ launch, options: { privateTmp: true }, env })
      t.after(() => worker.close())
      worker.run(program)
      await worker.witness.present(processCount)
      await worker.loseBoth()
      assert.equal(worker.temporaryFiles().length, 2, 'the negative control')
      const swept = { env: { TMPDIR: worker.temporaryFolder } }
      await sweep(swept)
      await assertGone(worker)
      assert.deepEqual(worker.temporaryFiles(), [])
    })

    test('leaves the directory to a released process until that has ended', async (t) => {
      const guarded = await startGuarded(t)
      const scope = guarded.guard.open()
      const child = scope.release(guarded.run(scope, program))
      await guarded.witness.present(processCount)
      await scope.list()
      const { leftFolders } = await scope.close()
      assert.deepEqual(leftFolders, [])
      const [path] = foldersOf(guarded)
      assert.equal(readFileSync(join(path as string, 'more'), 'utf8'), 'more\n')
      // First its child, which also carries the mark.
      for (const { pid, name } of guarded.witness.announced) if (name === 'child') process.kill(pid)
      await eventually('one process is left', () => guarded.witness.living().length === 1)
      assert.ok(existsSync(path as string))
      child.kill()
      await eventually('the directory is removed', () => !existsSync(path as string))
    })

    test('leaves the directory of a released process to the sweep after its end when worker and keeper are gone', async (t) => {
      const worker = await Worker.start({ launch, options: { privateTmp: true }, env })
      t.after(() => worker.close())
      await worker.withScope('release')
      await worker.witness.present(2)
      await worker.loseBoth()
      const swept = { env: { TMPDIR: worker.temporaryFolder } }
      await sweep(swept)
      const [path] = worker.temporaryFiles()
      assert.match(path ?? '', /^subprocess-[^g]/)
      for (const { pid } of worker.witness.living()) process.kill(pid, 'SIGKILL')
      await assertGone(worker)
      await sweep(swept)
      assert.deepEqual(worker.temporaryFiles(), [])
    })

    test('gives commands of another user a directory of that user', {
      skip:
        process.getuid?.() === 0 ? (whyNoOther() ?? false) : 'only root can start commands of another user'
    }, async (t) => {
      const guarded = await startGuarded(t)
      const scope = guarded.guard.open()
      const script =
        'echo secret >"$TMPDIR/file"; mkdir "$TMPDIR/d"; chmod 000 "$TMPDIR/d"; echo "$TMPDIR"; id -u'
      const run = (options: object) => scope.execFile('sh', ['-c', script], options)
      const [otherUsers, uid] = (await run({ uid: nobody, gid: nobody })).stdout.split('\n')
      const [ownUsers] = (await run({})).stdout.split('\n')
      assert.equal(uid, String(nobody))
      assert.notEqual(otherUsers, ownUsers)
      const { uid: owner, gid, mode } = statSync(otherUsers as string)
      assert.deepEqual([owner, gid, mode & 0o777], [nobody, nobody, 0o700])
      // The other user does not own the parent directory, so it cannot replace its own.
      assert.equal(statSync(dirname(otherUsers as string)).uid, 0)
      const { leftFolders } = await scope.close()
      assert.deepEqual([leftFolders, readdirSync(tmp)], [[], []])
    })

    test('leaves commands the TMPDIR of the worker where no directory can be made, and logs that once', async (t) => {
      const guarded = await startGuarded(t)
      process.env.TMPDIR = '/nowhere'
      const scope = guarded.guard.open()
      for (let i = 0; i < 2; i++) {
        assert.equal((await scope.execFile('sh', ['-c', 'echo $TMPDIR'])).stdout, '/nowhere\n')
      }
      const lines = guarded.lines('a command got no private TMPDIR')
      assert.deepEqual(
        lines.map(({ level }) => level),
        ['error']
      )
      assert.match(
        String(lines[0]?.fields.err),
        /cannot create a temporary directory in \/nowhere .*; set TMPDIR to a writable directory/
      )
      await scope.close()
    })

    test('accepts only true and false', async (t) => {
      await assert.rejects(
        Guarded.start({ privateTmp: 'yes' as never }),
        /privateTmp is "yes": set it to true or false/
      )
      const guarded = await startGuarded(t)
      const scope = guarded.guard.open()
      const message = /options\.privateTmp is 1: set it to true or false/
      assert.throws(() => scope.spawn('true', { privateTmp: 1 as never }), {
        message,
        code: 'ERR_SUBPROCESS_OPTION'
      })
      assert.throws(() => guarded.guard.open({ privateTmp: 0 as never }), /options\.privateTmp is 0/)
      await scope.close()
    })
  })
}

const python = spawnSync('python3', ['-c', 'import tempfile'])
suite('Python’s temporary files', {
  skip: python.status === 0 ? false : 'there is no python3'
}, () => {
  const script = `import sys, tempfile, time
folder = tempfile.TemporaryDirectory(prefix='pymp-')
open(folder.name + '/file', 'w').write('content')
print(folder.name, flush=True)
time.sleep(1000)`

  for (const privateTmp of [true, false]) {
    test(`${privateTmp ? 'are removed with the scope' : 'are left without privateTmp'}`, async (t) => {
      const guarded = await Guarded.start({ timeout: false, privateTmp })
      process.env.TMPDIR = tmp
      t.after(() => guarded.close())
      const scope = guarded.guard.open()
      const child = scope.spawn('python3', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit'] })
      const [path] = await once(child.stdout, 'data')
      assert.ok(existsSync(String(path).trim()))
      await scope.close()
      assert.equal(readdirSync(tmp).length, privateTmp ? 0 : 1)
    })
  }
})

for (const kind of kinds) {
  test(`a route can have privateTmp of its own, until its deadline (${kind.name})`, async (t) => {
    const served = await kind.serve({ guard: { timeout: distantMs } }, (served) => {
      const handle = async (request: Parameters<Parameters<typeof served.get>[1]>[0]): Promise<never> => {
        served.run(request, program)
        return new Promise(() => {})
      }
      served.get('/with', handle, { privateTmp: true })
      served.get('/without', handle)
    })
    t.after(() => served.close())
    process.env.TMPDIR = tmp
    const asked = [ask(served.port, '/with'), ask(served.port, '/without')]
    await served.witness.present(2 * processCount)
    assert.equal(readdirSync(tmp).filter((name) => name.startsWith('subprocess-')).length, 1)
    await passDeadlines({ count: 2 })
    for (const { answer } of asked) assert.equal((await answer).status, 503)
    await assertGone(served)
    await eventually('the directory is removed', () => readdirSync(tmp).length === 3)
    assert.deepEqual(readdirSync(tmp).sort(), ['closed', 'more', 'profile'])
    chmodSync(join(tmp, 'closed'), 0o700)
  })
}

/** The temporary directories that the programs report: TMPDIR, TMP and TEMP are the same. */
function foldersOf({ witness }: Pick<Guarded, 'witness'>): string[] {
  return witness.said
    .filter((line) => line.startsWith('tmp '))
    .map((line) => {
      const [path, ...others] = line.split(' ').slice(1)
      assert.deepEqual(others, [path, path])
      return path as string
    })
}

function variableOf(pid: number, name: string): string | undefined {
  const entry = environmentOf(pid).find((entry) => entry.startsWith(`${name}=`))
  return entry?.slice(name.length + 1)
}
