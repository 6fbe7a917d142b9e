/** Runs batches of the matrix in their own processes, and collects the violations. */

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Violation } from './batch.js'
import { type Batch, cellsOf } from './cells.js'
import type { Result } from './main.js'

// A rejection that is handled later has already been reported as unhandled.
const execArgv = ['--disable-warning=PromiseRejectionHandledWarning']
const entry = fileURLToPath(new URL('./main.js', import.meta.url))
// The longest batches take half a minute if everything in them hangs.
const longestMs = 120_000

/** Resolves with all violations. */
export async function runBatches(batches: readonly Batch[], processes: number): Promise<Violation[]> {
  const waiting = [...batches]
  const lanes = Array.from({ length: processes }, async () => {
    const found: Violation[] = []
    let child: ChildProcess | undefined
    for (let batch = waiting.shift(); batch !== undefined; batch = waiting.shift()) {
      child ??= fork(entry, { execArgv })
      const { violations, failure } = await resultOf(child, batch)
      found.push(...violations)
      if (failure !== undefined) {
        found.push(
          ...cellsOf([batch]).map((cell) => ({
            cell,
            what: `this cell, or another one of its batch: ${failure}`
          }))
        )
        child.kill('SIGKILL')
        child = undefined
      }
    }
    if (child !== undefined) {
      child.disconnect()
      await once(child, 'exit')
    }
    return found
  })
  return (await Promise.all(lanes)).flat()
}

async function resultOf(child: ChildProcess, batch: Batch): Promise<Result> {
  const over = new AbortController()
  const signal = AbortSignal.any([over.signal, AbortSignal.timeout(longestMs)])
  const message = once(child, 'message', { signal }).then(([result]) => result as Result)
  const exit = once(child, 'exit', { signal }).then(([code, by]) =>
    failed(`the server ended with ${code ?? by}`)
  )
  for (const promise of [message, exit]) promise.catch(() => {})
  child.send(batch)
  try {
    return await Promise.race([message, exit])
  } catch {
    return failed(`no result within ${longestMs} ms`)
  } finally {
    over.abort()
  }
}

function failed(failure: string): Result {
  return { violations: [], failure }
}
