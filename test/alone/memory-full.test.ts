/** When memory is full where the server lives, the kernel kills a command and not the server. */

import assert from 'node:assert/strict'
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { suite, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { SubprocessGuardOptions } from 'fastify-subprocess-guard'
import { ask } from '../harness/client.js'
import { MemoryCgroup, whyNoMemoryCgroup } from '../harness/memory-cgroup.js'
import { lives } from '../harness/proc.js'

const entry = fileURLToPath(new URL('../harness/filling-main.js', import.meta.url))
const megabyte = 2 ** 20
const roomBytes = 400 * megabyte
/** With the memory that Node needs, more than the command can have. */
const heldBytes = 200 * megabyte

interface FullServer {
  readonly process: ChildProcessByStdio<null, Readable, null>
  readonly port: number
  readonly keeper: number
  readonly cgroup: MemoryCgroup
}

async function startServer(t: TestContext, options: SubprocessGuardOptions): Promise<FullServer> {
  const cgroup = new MemoryCgroup(roomBytes)
  const [file = '', ...args] = [
    ...cgroup.within,
    process.execPath,
    entry,
    `${heldBytes}`,
    JSON.stringify(options)
  ]
  const process_ = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(async () => {
    process_.kill('SIGKILL')
    // Its keeper ends what the server has left, and then itself.
    await cgroup.remove()
  })
  const [line] = await once(createInterface(process_.stdout), 'line')
  return { process: process_, cgroup, ...JSON.parse(line) }
}

const isRankedLow =
  Number(readFileSync('/proc/self/oom_score_adj', 'utf8')) > 0 && 'the kernel kills these tests before others'

suite('a command that takes all memory', { skip: isRankedLow || (await whyNoMemoryCgroup()) }, () => {
  test('is killed, although the server has more; the server answers, and its keeper lives', async (t) => {
    const { process, port, keeper, cgroup } = await startServer(t, {})
    const { status, body } = await ask(port, '/fill').answer
    assert.deepEqual([status, body], [200, '{"status":137}'])
    assert.equal(cgroup.kills, 1)
    assert.equal((await ask(port, '/held').answer).body, `${heldBytes}`)
    assert.ok(lives(process.pid))
    assert.ok(lives(keeper))
  })

  test('takes the server with it if both are ranked alike', async (t) => {
    const { process, port, cgroup } = await startServer(t, { priority: { oomScoreAdj: 0 } })
    const ended = once(process, 'exit')
    await assert.rejects(ask(port, '/fill').answer)
    assert.deepEqual(await ended, [null, 'SIGKILL'])
    assert.ok(cgroup.kills >= 1)
  })
})
