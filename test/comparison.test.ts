/**
 * The comparison of the README is true: each way to run a command meets each fault, with real processes, and what is left decides
 * between "yes" and "no".
 */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { suite, type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { ask } from './harness/client.js'
import { assertGone } from './harness/expectations.js'
import { nodeMajor } from './harness/node-major.js'
import { startPatienceMs } from './harness/patience.js'
import { Witness } from './harness/witness.js'

// Long enough for a program to start on a busy machine, since its deadline runs from the request.
const timeoutMs = 10_000
// How long what is left must have lived after the deadline. It would live for 1,000 s.
const leftMs = 2_000
const main = fileURLToPath(new URL('./harness/peers-main.js', import.meta.url))
const readme = readFileSync(fileURLToPath(new URL('../../README.md', import.meta.url)), 'utf8')

/** The columns of the table, by the argument of `peers-main.js`. */
const peers = {
  guard: 'this package',
  child_process: '`child_process`',
  execa: 'execa 10',
  'tree-kill': 'tree-kill',
  handlerTimeout: '`handlerTimeout`',
  'p-queue': 'job queue'
}
type Peer = keyof typeof peers

/** The rows of the table by the program that runs into the deadline, and how many processes it has. */
const deadlines = {
  'a child of the command': ['background-child.sh', 2],
  'a tree that ignores SIGTERM': ['tree-ignores-term.sh', 4],
  'a daemon that left its session': ['daemon.sh', 2],
  'what an exited command left': ['leader-exits.sh', 1]
} as const
const killed = 'all of it, when the worker gets SIGKILL'
const hung = 'all of it, when the event loop hangs'
const answered = 'answers 503 at the deadline'

/** What the README says, by column and row. */
const table = readTable()

suite('the comparison in the README', { concurrency: 2 }, () => {
  for (const peer of Object.keys(peers) as Peer[]) {
    const skip = peer === 'execa' && nodeMajor < 22 && 'execa 10 needs Node 22'
    suite(peers[peer], { skip, concurrency: true }, () => {
      for (const [row, [program, count]] of Object.entries(deadlines)) {
        test(row, async (t) => {
          const { witness, answer } = await start(t, peer, program, count)
          await assertEnds(witness, answer, says(peer, row))
        })
      }

      test(answered, async (t) => {
        const { answer } = await start(t, peer, 'background-child.sh', 2)
        assert.equal((await answer) === 503, says(peer, answered))
      })

      test(killed, async (t) => {
        const { witness, worker, answer } = await start(t, peer, 'background-child.sh', 2)
        worker.kill('SIGKILL')
        await assertEnds(witness, answer, says(peer, killed))
      })

      test(hung, async (t) => {
        const { witness, lines, port } = await start(t, peer, 'background-child.sh', 2)
        const hangs = once(lines, 'line')
        ask(port, '/hang').answer.catch(() => {})
        await hangs
        await assertEnds(witness, pause(timeoutMs), says(peer, hung))
      })
    })
  }
})

/** Starts a worker, and one request whose program has that many processes. */
async function start(t: TestContext, peer: Peer, program: string, count: number) {
  const witness = new Witness()
  const worker = spawn(process.execPath, [main, peer, String(timeoutMs)], {
    stdio: ['ignore', 'pipe', 'ignore']
  })
  t.after(() => {
    worker.kill('SIGKILL')
    witness.close()
  })
  const lines = createInterface(worker.stdout)
  const [line] = await once(lines, 'line', { signal: AbortSignal.timeout(startPatienceMs) })
  const port = Number(/^port (\d+)$/.exec(line)?.[1])
  const query = new URLSearchParams({ program, witness: witness.env.WITNESS as string })
  // The status; undefined when the connection ended without an answer.
  const answer = ask(port, `/run?${query}`).answer.then(
    ({ status }) => status,
    () => undefined
  )
  await witness.present(count)
  return { witness, worker, lines, port, answer }
}

/** Asserts that every process ends, or that some live on after the end of the request. */
async function assertEnds(witness: Witness, end: Promise<unknown>, isExpected: boolean): Promise<void> {
  if (isExpected) return assertGone({ witness })
  await end
  assert.equal(await witness.goneWithin(leftMs), false, 'nothing is left')
}

function says(peer: Peer, row: string): boolean {
  const cell = table.get(peers[peer])?.get(row)
  assert.ok(cell === 'yes' || cell === 'no', `the README has no yes or no at ${peers[peer]}, ${row}: ${cell}`)
  return cell === 'yes'
}

function readTable(): Map<string, Map<string, string>> {
  const rows = readme
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) => line.split('|').map((cell) => cell.trim().replaceAll('**', '')))
  const head = rows.find((cells) => cells.includes(peers.guard)) ?? []
  return new Map(
    head.map((column, index) => [column, new Map(rows.map((cells) => [cells[1] ?? '', cells[index] ?? '']))])
  )
}
