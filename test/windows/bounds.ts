/** What commands may use on Windows, what they have used, and how they are ranked. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { copyFileSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import {
  createGuard,
  type Guard,
  type GuardOptions,
  type Scope,
  type Subprocess
} from 'fastify-subprocess-guard'
import { gone } from './gone.js'
import { keeperWithoutKoffi } from './keeper-without-koffi.js'
import { test } from './run-tests.js'
import { TestServer } from './server.js'
import type { Shape } from './takes-main.js'

const node = process.execPath
const usesResources = fileURLToPath(new URL('../../../test/programs/uses-resources.mjs', import.meta.url))
const takes = fileURLToPath(new URL('takes-main.js', import.meta.url))
const isWine = process.env.WINELOADER !== undefined
const countsNothing = isWine ? 'the job objects of Wine count neither processor time nor memory' : undefined

const levels = [
  ['job', {}],
  ['tree', { keeperPath: keeperWithoutKoffi }]
] as const satisfies readonly (readonly [level: string, options: GuardOptions])[]

interface GuardTest {
  readonly name: string
  readonly options?: GuardOptions
  readonly skip?: string | undefined
  readonly run: (guard: Guard, warnings: readonly string[]) => Promise<void>
}

/** Runs a test with a guard of its own. */
function guardTest({ name, options, skip, run }: GuardTest): void {
  test(
    name,
    async () => {
      const warnings: string[] = []
      const logger = {
        info() {},
        warn: (_: object, message: string) => void warnings.push(message),
        error() {}
      }
      const guard = await createGuard({ timeout: false, grace: 500, logger, ...options })
      try {
        await run(guard, warnings)
      } finally {
        await guard.close()
      }
    },
    skip
  )
}

/** What a program says that runs once the keeper knows its process, and has therefore given it its priority. */
async function saidOnceRanked(scope: Scope, program: string): Promise<string> {
  const child = scope.spawn(node, ['-e', `process.stdin.once('end', () => { ${program} }).resume()`])
  await once(child, 'spawn')
  await scope.list()
  child.stdin.end()
  return text(child.stdout)
}

// What they have used

const [megabytes, cpuMs] = [100, 500]

/** Resolves when so many processes of `uses-resources.mjs` have said what they used. They wait for the end of their input. */
async function haveUsed(child: Subprocess, processes: number): Promise<void> {
  let lines = 0
  for await (const _ of createInterface({ input: child.stdout as Readable }))
    if (++lines === processes) return
}

function use(scope: Scope, ...more: string[]): Subprocess {
  return scope.spawn(node, [usesResources, `${megabytes}`, `${cpuMs}`, ...more])
}

for (const [shown, processes, more] of [
  ['a command', 1, []],
  ['a command and its child', 2, ['with a child']]
] as const) {
  guardTest({
    name: `what ${shown} has used is known after its end, and in the report of its scope`,
    skip: countsNothing,
    async run(guard) {
      const scope = guard.open()
      const child = use(scope, ...more)
      await haveUsed(child, processes)
      child.stdin?.end()
      await once(child, 'close')
      const usage = child.resourceUsage()
      assert.ok((usage?.userCPUTime ?? 0) + (usage?.systemCPUTime ?? 0) >= processes * cpuMs * 1_000)
      assert.ok((usage?.maxRSS ?? 0) >= megabytes * 1e3 * 0.95)
      assert.ok((usage?.wallTime ?? 0) > cpuMs * 1_000)
      const { usage: ofScope } = await scope.close()
      assert.ok((ofScope.cpuMs ?? 0) >= processes * cpuMs)
      assert.ok((ofScope.peakMemoryBytes ?? 0) >= megabytes * 1e6)
    }
  })
}

guardTest({
  name: 'what a command uses while it runs is listed, and what was seen is in the report',
  // Limits are what makes the keeper look.
  options: { limits: { memory: 4e9 } },
  async run(guard) {
    const scope = guard.open()
    const child = use(scope)
    await haveUsed(child, 1)
    const [listed] = await scope.list()
    assert.ok((listed?.cpuMs ?? 0) >= cpuMs, `${listed?.cpuMs}`)
    assert.ok((listed?.memoryBytes ?? 0) >= megabytes * 1e6, `${listed?.memoryBytes}`)
    assert.ok((await guard.usage()).memoryBytes >= megabytes * 1e6)
    // The keeper looks once per second, and no event tells of a look.
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    const { usage } = await scope.close()
    assert.ok((usage.cpuMs ?? 0) >= cpuMs, `${usage.cpuMs}`)
    assert.ok((usage.peakMemoryBytes ?? 0) >= megabytes * 1e6, `${usage.peakMemoryBytes}`)
    assert.equal(usage.peakProcesses, 1)
    // Windows counts pipes and consoles as files: that is not told as storage.
    assert.equal(usage.readBytes, undefined)
  }
})

// What they may use

const used = {
  memory: /: memory 600000000 bytes \(they used \d+.*the largest: node\.exe\)$/,
  cpu: /: cpu 8000 ms \(they used \d+.*the largest: node\.exe\)$/,
  processes: /: processes 5 \(they used \d+.*most of them: node\.exe\)$/
}
const shapes: readonly Shape[] = ['one', 'several', 'grandchild']
for (const [what, message] of Object.entries(used)) {
  test(`requests that exceed their limit of ${what} in one process, in several and in a detached grandchild: 503, and nothing is left`, async (context) => {
    const server = await TestServer.start({ timeout: false, grace: 500 })
    context.explain = () => server.log()
    try {
      for (const [index, shape] of shapes.entries()) {
        const { status, body } = await server.answer(`/exceeds-${what}?name=${shape}&shape=${shape}`)
        assert.equal(status, 503, body)
        const answer = JSON.parse(body)
        assert.equal(answer.code, 'ERR_SUBPROCESS_LIMIT')
        assert.match(answer.message, message)
        const { reason, exceeded, processes } = await server.report(index)
        assert.deepEqual([reason, exceeded?.limit], ['limit', what])
        assert.ok(exceeded !== undefined && exceeded.used > exceeded.value)
        assert.match(exceeded.command, /node\.exe/)
        assert.ok(processes.every(({ ended }) => ended === 'SIGKILL'))
        for (const { pid } of processes) await gone(pid)
        for (const name of server.witness.alive()) if (name !== 'server') await server.witness.goes(name)
        const next = await server.answer('/echoes')
        assert.deepEqual([next.status, next.body.trim()], [200, 'said'])
      }
    } catch (error) {
      throw new Error(`${(error as Error).stack}\n${server.log()}`)
    } finally {
      await server.kill()
      server.witness.close()
    }
  })
}

guardTest({
  name: 'a direct launch counts, with what it has started',
  options: { launch: 'direct', limits: { processes: 5 } },
  async run(guard) {
    const scope = guard.open()
    scope.spawn(node, [takes, 'processes', 'several', 'a'], { stdio: 'ignore' })
    const { reason, exceeded, processes } = await scope.closed
    assert.deepEqual([reason, exceeded?.limit], ['limit', 'processes'])
    assert.ok(processes.length > 5)
    for (const { pid } of processes) await gone(pid)
  }
})

guardTest({
  name: 'the processor time of children that have ended counts, too',
  options: { limits: { cpu: 5_000 } },
  skip: countsNothing,
  async run(guard) {
    const scope = guard.open()
    const program = `for (;;) require('node:child_process').spawnSync(process.execPath, ['-e', 'for (const end = Date.now() + 300; Date.now() < end;);'])`
    scope.spawn(node, ['-e', program], { stdio: 'ignore' })
    const { reason, exceeded } = await scope.closed
    assert.deepEqual([reason, exceeded?.limit], ['limit', 'cpu'])
  }
})

for (const [level, options] of levels) {
  guardTest({
    name: `${level}: with a concurrency of 1, the second command waits for the first, and beyond the queue it is refused`,
    options: { ...options, limits: { concurrency: 1, queue: 1 } },
    async run(guard) {
      assert.equal(guard.containment, level)
      const scope = guard.open()
      const first = scope.spawn(node, ['-e', 'process.stdin.resume()'])
      await once(first, 'spawn')
      const second = scope.exec('echo second')
      assert.deepEqual(guard.load, { running: 1, waiting: 1 })
      assert.equal(second.child.pid, undefined)
      assert.throws(() => scope.exec('echo third'), { code: 'ERR_SUBPROCESS_BUSY', statusCode: 503 })
      first.stdin?.end()
      assert.equal((await second).stdout.trim(), 'second')
      assert.equal(first.exitCode, 0)
      assert.deepEqual(guard.load, { running: 0, waiting: 0 })
    }
  })

  guardTest({
    name: `${level}: limits.rlimits are refused`,
    options,
    async run(guard) {
      const limits = { rlimits: { nofile: 64 } }
      const error = {
        name: 'SubprocessOptionError',
        message: /limits\.rlimits.*this system has no resource limits/s
      }
      assert.throws(() => guard.open({ limits }), error)
      await assert.rejects(createGuard({ ...options, limits }), error)
    }
  })

  /** Each nice value with the one that Node.js tells of its priority class: normal, below normal, idle. */
  const classes = [
    [9, 0],
    [10, 10],
    [19, 19]
  ] as const
  guardTest({
    name: `${level}: a command has its priority, and what has no effect is logged once`,
    options,
    async run(guard, warnings) {
      const program = `console.log(require('node:os').getPriority())`
      for (const [nice, expected] of classes) {
        const scope = guard.open({ priority: { nice } })
        assert.equal(Number(await saidOnceRanked(scope, program)), expected)
        await scope.close()
      }
      const before = warnings.length
      await guard.open({ priority: { ioClass: 'idle' } }).exec('echo')
      await guard.open({ priority: { ioClass: 'idle' } }).exec('echo')
      assert.equal(warnings.length, before + 1)
      assert.match(warnings.at(-1) ?? '', /priority\.ioClass has no effect/)
    }
  })

  guardTest({
    name: `${level}: what a command starts has its priority, too`,
    options,
    skip: isWine ? 'Wine gives each process the normal priority class' : undefined,
    async run(guard) {
      const child = `console.log(require('node:os').getPriority())`
      const program = `
        const child = require('node:child_process').spawnSync(process.execPath, ['-e', ${JSON.stringify(child)}])
        process.stdout.write(child.stdout)`
      for (const [nice, expected] of classes) {
        const scope = guard.open({ priority: { nice } })
        assert.equal(Number(await saidOnceRanked(scope, program)), expected)
        await scope.close()
      }
    }
  })

  guardTest({
    name: `${level}: a policy finds a listed name in the PATH by its extension, and refuses a batch file of that name`,
    options,
    async run(guard) {
      const folder = mkdtempSync(join(tmpdir(), 'windows-bounds-'))
      copyFileSync(node, join(folder, 'listed.exe'))
      const { PATH } = process.env
      process.env.PATH = `${folder}${delimiter}${PATH}`
      try {
        const scope = guard.open({ policy: { commands: ['listed'] } })
        for (const command of ['listed', 'LISTED.EXE', join(folder, 'listed')]) {
          assert.equal((await scope.execFile(command, ['-p', '1'])).stdout.trim(), '1')
        }
        for (const command of ['listed.cmd', 'cmd', node]) {
          assert.throws(() => scope.spawn(command), { code: 'ERR_SUBPROCESS_FORBIDDEN', statusCode: 500 })
        }
      } finally {
        process.env.PATH = PATH
      }
    }
  })
}

guardTest({
  name: 'without koffi, what commands have used is unknown',
  options: { keeperPath: keeperWithoutKoffi },
  async run(guard) {
    const scope = guard.open()
    const child = scope.spawn(node, ['-e', 'process.stdin.resume()'])
    await once(child, 'spawn')
    const [listed] = await scope.list()
    assert.deepEqual([listed?.pid, listed?.cpuMs, listed?.memoryBytes], [child.pid, 0, 0])
    child.stdin?.end()
    await once(child, 'close')
    assert.equal(child.resourceUsage(), undefined)
    assert.deepEqual((await scope.close()).usage, { peakProcesses: 1 })
  }
})

for (const limits of [{ memory: 1e9 }, { cpu: 1e9 }, { processes: 100 }]) {
  const [name] = Object.keys(limits)
  guardTest({
    name: `without koffi, limits.${name} are refused: what processes use cannot be read`,
    options: { keeperPath: keeperWithoutKoffi },
    async run(guard) {
      const error = { name: 'SubprocessOptionError', message: new RegExp(`limits\\.${name}.*koffi`, 's') }
      assert.throws(() => guard.open({ limits }), error)
      await assert.rejects(createGuard({ keeperPath: keeperWithoutKoffi, limits }), error)
    }
  })
}
