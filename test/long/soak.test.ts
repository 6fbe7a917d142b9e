/** Very short soak runs: clean with the guard, not clean without it, and neither leaves anything. */

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { suite, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { lives } from '../harness/proc.js'

const entry = fileURLToPath(new URL('../../soak/main.js', import.meta.url))
const endingCount = 22

interface Soak {
  readonly child: ChildProcess
  /** Resolves to everything that the soak prints. */
  readonly printed: Promise<string>
  /** The TMPDIR of the soak. */
  readonly folder: string
}

function startSoak(t: TestContext, ...options: string[]): Soak {
  const folder = mkdtempSync(join(tmpdir(), 'soak-test-'))
  const env = { ...process.env, TMPDIR: folder }
  const child = spawn(process.execPath, [entry, ...options], { env, stdio: ['ignore', 'pipe', 'ignore'] })
  const exited = once(child, 'exit')
  t.after(async () => {
    // The first signal ends the load, the second ends what the soak has started.
    child.kill('SIGTERM')
    child.kill('SIGINT')
    await exited
    rmSync(folder, { recursive: true, force: true })
  })
  return { child, printed: text(child.stdout as NodeJS.ReadableStream), folder }
}

/**
 * Waits for the end of the soak. Asserts its exit status and that it left nothing in TMPDIR. Returns its
 * output.
 */
async function endOf({ child, printed, folder }: Soak, status: number): Promise<string> {
  const all = await printed
  if (child.exitCode === null) await once(child, 'exit')
  assert.equal(child.exitCode, status, all)
  assert.deepEqual(readdirSync(folder), [])
  return all
}

/** The number that the output has before `words`. */
function countOf(words: string, printed: string): number {
  const [, count] = new RegExp(`(\\d+) ${words}`).exec(printed) ?? []
  assert.ok(count !== undefined, `nothing says how many "${words}": ${printed}`)
  return Number(count)
}

suite('the soak', () => {
  test('is clean while workers and keepers are killed under load', async (t) => {
    const printed = await endOf(startSoak(t, '--seconds', '9'), 0)
    assert.match(
      printed,
      /^VERDICT {2}clean: \d+ requests, nothing alive, no zombie, no descriptor, no folder/m
    )
    // This proves something only if there was load of every kind and processes were killed.
    const requests = printed.slice(printed.indexOf('REQUESTS'), printed.indexOf('PROCESSES'))
    assert.equal(requests.match(/^ {2}\w/gm)?.length, endingCount, printed)
    assert.ok(countOf('killed with SIGKILL\n', printed) > 0, printed)
    assert.ok(countOf('killed with SIGKILL, their workers not', printed) > 0, printed)
  })

  test('is not clean without the guard, lists what is left, and ends it', async (t) => {
    const printed = await endOf(startSoak(t, '--seconds', '8', '--no-guard'), 1)
    assert.match(printed, /^VERDICT {2}\d+ alive after all requests; \d+ alive after all workers/m)
    const culprits = [...printed.matchAll(/^ +(\d+) +[\d.]+ s {2}SOAK_REQUEST=\S+ {2}(.+)$/gm)]
    assert.ok(
      culprits.some(([, , command]) => command === 'sleep 1000'),
      printed
    )
    for (const [, pid] of culprits) {
      assert.ok(!lives(Number(pid)), `${pid} is alive`)
    }
  })

  test('ends early, with the same checks, when it is interrupted', async (t) => {
    const soak = startSoak(t, '--no-keeper-kills')
    // The soak prints its first line when the load begins.
    await once(soak.child.stdout as NodeJS.ReadableStream, 'data')
    soak.child.kill('SIGINT')
    assert.match(await endOf(soak, 0), /^VERDICT {2}clean: \d+ requests/m)
  })

  test('does not start with invalid options', async (t) => {
    await endOf(startSoak(t, '--seconds', 'ten'), 2)
    await endOf(startSoak(t, '--minutes', '1'), 2)
  })
})
