/** The reporter in the process of a test file: prints each event as a line for the runner. */

import type { TestEvent as NodeEvent } from 'node:test/reporters'
import { inspect } from 'node:util'
import { aliveAt } from './failures.js'
import type { TestEvent } from './result.js'

export default async function* report(source: AsyncIterable<NodeEvent>): AsyncGenerator<string> {
  // The names of the test and of the suites around it, by nesting.
  const path: string[] = []
  for await (const event of source) {
    if (event.type === 'test:start') path.splice(event.data.nesting, path.length, event.data.name)
    const told = toldOf(event, path.join(' > '))
    if (told !== undefined) yield `${JSON.stringify(told)}\n`
  }
}

function toldOf(event: NodeEvent, path: string): TestEvent | undefined {
  switch (event.type) {
    case 'test:diagnostic':
      // Diagnostics without a file are the totals.
      return event.data.file === undefined ? undefined : { type: 'note', text: event.data.message }
    case 'test:pass': {
      const { skip, todo, details } = event.data
      // A skipped suite reports none of its tests.
      if (skip !== undefined || todo !== undefined)
        return { type: 'skip', name: path, why: String(skip ?? todo) }
      if (details.type === 'suite') return undefined
      return { type: 'pass', name: path, ms: details.duration_ms }
    }
    case 'test:fail': {
      const { error, duration_ms: ms } = event.data.details
      const { failureType, cause } = error as { failureType?: string; cause?: unknown }
      // The subtest has reported it.
      if (failureType === 'subtestsFailed') return undefined
      return { type: 'fail', name: path, ms, error: textOf(cause ?? error), alive: aliveAt(path) }
    }
    default:
      return undefined
  }
}

function textOf(error: unknown): string {
  return typeof error === 'string' ? error : inspect(error)
}
