/** A small test runner: plain output into a file, one test after the other. (node:test needs more of a system.) */

export interface TestContext {
  /** What helps to see why the test does not end. */
  explain?: () => string
}

interface Test {
  readonly name: string
  readonly run: (context: TestContext) => Promise<void>
  /** Why it cannot be run here. */
  readonly skip: string | undefined
}

// A process takes seconds to start in Wine, when the processors are busy.
const testMs = 180_000
const tests: Test[] = []

export function test(name: string, run: (context: TestContext) => Promise<void>, skip?: string): void {
  tests.push({ name, run, skip })
}

/** Runs all tests that were declared, or those with one of these words in their names. Returns the number of failures. */
export async function runTests(words: readonly string[]): Promise<number> {
  const chosen = tests.filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)))
  let failures = chosen.length === 0 ? 1 : 0
  for (const [index, { name, run, skip }] of chosen.entries()) {
    if (skip !== undefined) {
      say(`ok ${index + 1} - ${name} # SKIP ${skip}`)
      continue
    }
    const startedAt = performance.now()
    const error = await withinTime(run)
    const ms = Math.round(performance.now() - startedAt)
    if (error !== undefined) failures++
    say(`${error === undefined ? 'ok' : 'not ok'} ${index + 1} - ${name} (${ms} ms)`)
    if (error !== undefined) say(String((error as Error).stack ?? error).replace(/^/gm, '  # '))
  }
  say(`1..${chosen.length}`)
  say(`# ${failures} of ${chosen.length} failed`)
  return failures
}

async function withinTime(run: (context: TestContext) => Promise<void>): Promise<unknown> {
  const context: TestContext = {}
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<never>((_, reject) => {
    const fail = (): void => reject(new Error(`not over after ${testMs} ms\n${context.explain?.() ?? ''}`))
    timer = setTimeout(fail, testMs)
  })
  try {
    await Promise.race([run(context), timeout])
    return undefined
  } catch (error) {
    return error
  } finally {
    clearTimeout(timer)
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
