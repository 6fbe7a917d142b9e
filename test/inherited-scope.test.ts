/** Code that has taken over a worker which was root can order nothing as root: `docs/security.md` tells (FAULTS 69). */

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
import { eventually } from './harness/expectations.js'
import { startMarked } from './harness/marked.js'
import { environmentOf, lives, statOf } from './harness/proc.js'

// Not public: the compiled file itself.
const framing = new URL('../../dist/wire/framing.js', import.meta.url).href
const { encode }: typeof Framing = await import(framing)

const skip = process.getuid?.() !== 0 && 'only root can give up rights'
// Above what the guard gives out.
const scope = 9_000
const opening = { id: 'taken over', graceMs: 0, killSignal: 'SIGKILL' } as const

/** What only root may do, and the orders to do it. */
class Booty {
  readonly #folder = mkdtempSync(join(tmpdir(), 'b-'))
  readonly #victim = spawn('sleep', ['1000'], { stdio: 'ignore' })
  readonly #treasure = join(this.#folder, 'treasure')
  readonly #made = join(this.#folder, 'made')
  readonly #hooked = join(this.#folder, 'hooked')

  constructor(t: TestContext) {
    mkdirSync(this.#treasure)
    writeFileSync(join(this.#folder, 'hooks.mjs'), hooksThatWrite(this.#hooked))
    t.after(() => {
      this.#victim.kill('SIGKILL')
      rmSync(this.#folder, { recursive: true })
    })
  }

  /** In a scope of their own and in one that there is. */
  get orders(): string {
    const pid = this.#victim.pid as number
    const startTick = Number(statOf(pid)?.startTick)
    const args = ['sh', '-c', `id -u > ${this.#made}`]
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
      { type: 'add-folder', scope, folder: { path: this.#treasure } },
      { type: 'adopt', scope, process: { pid, startTick }, command: { number: scope + 2 } },
      { type: 'add-hooks', id: scope, url: new URL(`file://${this.#folder}/hooks.mjs`).href },
      { type: 'close', scope }
    ]
    return orders.map(encode).join('')
  }

  /** What was done of the orders. */
  get taken(): object {
    return {
      madeBy: existsSync(this.#made) ? readFileSync(this.#made, 'utf8') : undefined,
      removedFolder: !existsSync(this.#treasure),
      endedProcess: !lives(this.#victim.pid),
      ranHooks: existsSync(this.#hooked)
    }
  }
}

function hooksThatWrite(path: string): string {
  return `import { writeFileSync } from 'node:fs'\nwriteFileSync('${path}', '')\nexport function workerExit() {}\n`
}

// A folder that has not the name of a scope's is nobody's to remove.
const all = { madeBy: '0\n', removedFolder: false, endedProcess: true, ranHooks: true }
const nothing = { madeBy: undefined, removedFolder: false, endedProcess: false, ranHooks: false }

suite('code in a worker that was root', { skip }, () => {
  for (const [when, program] of Object.entries({
    'before its guard knows': undefined,
    'when the keeper of root has still something to run': 'waits.sh',
    'when the keeper of root has gone': undefined
  })) {
    test(`gets nothing done as root, ${when}`, async (t) => {
      const booty = new Booty(t)
      const server = new Changing(t)
      await server.ask('register')
      const keeper = await server.keeper()
      await server.ask('open', 'old')
      if (program !== undefined) await server.ask('start', 'old', program)
      await server.ask('change', 'user')
      if (when !== 'before its guard knows') await server.ask('run', 'old', 'spawn', 'true')
      if (when === 'when the keeper of root has gone') {
        await server.ask('close', 'old')
        await eventually('it has gone', () => !lives(keeper))
      }
      await server.ask('attack', booty.orders)
      // What a keeper had taken for an order is done by the time of a later one: each has the scope.
      await server.ask('list', 'old')
      await server.ask('end')
      await eventually('the keeper of root has gone', () => !lives(keeper))
      assert.deepEqual(booty.taken, nothing)
    })
  }

  test('gets nothing done as root by orders that are read when it is gone', async (t) => {
    const booty = new Booty(t)
    const server = new Changing(t)
    await server.ask('register')
    const keeper = await server.keeper()
    await server.ask('open', 'old')
    await server.ask('start', 'old', 'waits.sh')
    process.kill(keeper, 'SIGSTOP')
    await server.ask('change', 'user')
    await server.ask('attack', booty.orders)
    server.process.kill('SIGKILL')
    await new Promise((resolve) => server.process.once('exit', resolve))
    process.kill(keeper, 'SIGCONT')
    await eventually('the keeper has gone', () => !lives(keeper))
    assert.deepEqual(booty.taken, nothing)
  })

  /** Whether an orphan lives on that carries the mark of a scope which the worker has the keeper of root take over. */
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
    // It does not end before what it has begun is done.
    await server.ask('end')
    await eventually('the keeper of root has gone', () => !lives(keeper))
    return lives(orphan.pid)
  }

  test('cannot have the keeper of root take over a scope', async (t) => {
    assert.ok(await isOrphanSpared(t, 'user'))
  })

  test('has the keeper of root take over a scope while it is root', async (t) => {
    assert.ok(!(await isOrphanSpared(t)))
  })

  test('gets the most of that done while it is root', async (t) => {
    const booty = new Booty(t)
    const server = new Changing(t)
    await server.ask('register')
    await server.keeper()
    await server.ask('open', 'old')
    await server.ask('run', 'old', 'spawn', 'true')
    await server.ask('attack', booty.orders)
    await eventually('all is done', () => isDeepStrictEqual(booty.taken, all))
  })
})
