/**
 * After a worker has given up root, hostile code in it cannot act as root through the keeper: neither with
 * orders of its own nor by an inherited scope (docs/security.md; docs/faults.md, 69).
 */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, type TestContext, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import type * as Framing from '../lib/wire/framing.js'
import type * as Protocol from '../lib/wire/messages.js'
import { Changing } from './harness/changing.js'
import { compiled } from './harness/compiled.js'
import { eventually } from './harness/expectations.js'
import { startMarked } from './harness/marked.js'
import { environmentOf, lives, statOf } from './harness/proc.js'

// Not exported by the package: import the compiled file.
const { encode }: typeof Framing = await compiled('wire/framing')

const skip = process.getuid?.() !== 0 && 'only root can give up rights'
// Higher than any scope number that the guard assigns.
const scope = 9_000
const opening = { id: 'taken over', graceMs: 0, killSignal: 'SIGKILL' } as const

/** Orders that need the rights of root, and a check of which of them were carried out. */
class ForbiddenOrders {
  readonly #folder = mkdtempSync(join(tmpdir(), 'b-'))
  readonly #victim = spawn('sleep', ['1000'], { stdio: 'ignore' })
  readonly #rootFolder = join(this.#folder, 'root-folder')
  readonly #idFile = join(this.#folder, 'made')
  readonly #hookFile = join(this.#folder, 'hooked')

  constructor(t: TestContext) {
    mkdirSync(this.#rootFolder)
    writeFileSync(join(this.#folder, 'hooks.mjs'), hooksThatWrite(this.#hookFile))
    t.after(() => {
      this.#victim.kill('SIGKILL')
      rmSync(this.#folder, { recursive: true })
    })
  }

  /** Orders for a new scope and for scope 1, which exists. */
  get orders(): string {
    const pid = this.#victim.pid as number
    const startTick = Number(statOf(pid)?.startTick)
    const args = ['sh', '-c', `id -u > ${this.#idFile}`]
    const request = {
      file: '/bin/sh',
      args,
      cwd: '/',
      env: { PATH: process.env.PATH as string },
      stdio: ['ignore', 'ignore', 'ignore']
    } as const
    const orders: Protocol.WorkerMessage[] = [
      { type: 'rights', rights: '' },
      { type: 'settings', settings: { graceMs: 0, killSignal: 'SIGKILL' } },
      { type: 'environment', env: request.env },
      { type: 'open', scope, opening },
      { type: 'launch', id: scope, scope, request },
      { type: 'launch', id: scope + 1, scope: 1, request },
      { type: 'add-folder', scope, folder: { path: this.#rootFolder } },
      { type: 'adopt', scope, process: { pid, startTick }, command: { number: scope + 2 } },
      { type: 'add-hooks', id: scope, url: new URL(`file://${this.#folder}/hooks.mjs`).href },
      { type: 'close', scope }
    ]
    return orders.map(encode).join('')
  }

  /** Which of the orders were carried out. */
  get effects(): object {
    return {
      madeBy: existsSync(this.#idFile) ? readFileSync(this.#idFile, 'utf8') : undefined,
      removedFolder: !existsSync(this.#rootFolder),
      endedProcess: !lives(this.#victim.pid),
      ranHooks: existsSync(this.#hookFile)
    }
  }
}

function hooksThatWrite(path: string): string {
  return `import { writeFileSync } from 'node:fs'\nwriteFileSync('${path}', '')\nexport function workerExit() {}\n`
}

// The directory stays in any case: the keeper only removes directories that are named like those of a scope.
const allEffects = { madeBy: '0\n', removedFolder: false, endedProcess: true, ranHooks: true }
const noEffects = { madeBy: undefined, removedFolder: false, endedProcess: false, ranHooks: false }

suite('hostile code in a worker that was root', { skip }, () => {
  for (const [when, program] of Object.entries({
    'before the guard notices the change': undefined,
    'while the keeper of root still runs a command': 'waits.sh',
    'after the keeper of root has exited': undefined
  })) {
    test(`can do nothing as root ${when}`, async (t) => {
      const forbidden = new ForbiddenOrders(t)
      const server = new Changing(t)
      await server.ask('register')
      const keeper = await server.keeper()
      await server.ask('open', 'old')
      if (program !== undefined) await server.ask('start', 'old', program)
      await server.ask('change', 'user')
      if (when !== 'before the guard notices the change') await server.ask('run', 'old', 'spawn', 'true')
      if (when === 'after the keeper of root has exited') {
        await server.ask('close', 'old')
        await eventually('the keeper of root has exited', () => !lives(keeper))
      }
      await server.ask('attack', forbidden.orders)
      // Both keepers know this scope. An order that a keeper accepted is done by the time it answers a later
      // one.
      await server.ask('list', 'old')
      await server.ask('end')
      await eventually('the keeper of root has exited', () => !lives(keeper))
      assert.deepEqual(forbidden.effects, noEffects)
    })
  }

  test('can do nothing as root by orders that the keeper reads after the worker has exited', async (t) => {
    const forbidden = new ForbiddenOrders(t)
    const server = new Changing(t)
    await server.ask('register')
    const keeper = await server.keeper()
    await server.ask('open', 'old')
    await server.ask('start', 'old', 'waits.sh')
    process.kill(keeper, 'SIGSTOP')
    await server.ask('change', 'user')
    await server.ask('attack', forbidden.orders)
    server.process.kill('SIGKILL')
    await new Promise((resolve) => server.process.once('exit', resolve))
    process.kill(keeper, 'SIGCONT')
    await eventually('the keeper has exited', () => !lives(keeper))
    assert.deepEqual(forbidden.effects, noEffects)
  })

  /**
   * The worker orders the keeper of root to inherit a scope. Resolves to whether an orphan with the mark of
   * that scope survives. With `change`, the worker changes its rights first.
   */
  async function isOrphanSpared(t: TestContext, change?: string): Promise<boolean> {
    const server = new Changing(t)
    await server.ask('register')
    const keeper = await server.keeper()
    await server.ask('open', 'old')
    await server.ask('start', 'old', 'waits.sh')
    const variable = /^SUBPROCESS_GUARD_KEEPER=(.*)$/
    const [mark] = environmentOf(keeper).flatMap((line) => variable.exec(line)?.[1] ?? [])
    const orphan = await startMarked(t, `${mark}/${scope}`)
    if (change !== undefined) await server.ask('change', change)
    const orders: Protocol.WorkerMessage[] = [
      { type: 'open', scope, opening, isInherited: true },
      { type: 'close', scope }
    ]
    await server.ask('attack', orders.map(encode).join(''))
    if (change === undefined) await orphan.gone()
    // The keeper finishes what it has begun before it exits.
    await server.ask('end')
    await eventually('the keeper of root has exited', () => !lives(keeper))
    return lives(orphan.pid)
  }

  test('cannot have the keeper of root inherit a scope', async (t) => {
    assert.ok(await isOrphanSpared(t, 'user'))
  })

  test('can have the keeper of root inherit a scope while it is still root', async (t) => {
    assert.ok(!(await isOrphanSpared(t)))
  })

  test('can do most of it while it is still root', async (t) => {
    const forbidden = new ForbiddenOrders(t)
    const server = new Changing(t)
    await server.ask('register')
    await server.keeper()
    await server.ask('open', 'old')
    await server.ask('run', 'old', 'spawn', 'true')
    await server.ask('attack', forbidden.orders)
    await eventually('the orders are carried out', () => isDeepStrictEqual(forbidden.effects, allEffects))
  })
})
