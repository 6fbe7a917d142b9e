/**
 * Prints the progress and results of a run: a line per file, a bar on
 * a terminal, the failures, and a summary.
 */

import type { FileResult } from './run-file.js'

const barWidth = 30
// The end of the output of a failed file that is shown, in characters.
const shownOutput = 4_000

export class Screen {
  readonly #total: number
  readonly #running = new Set<string>()
  readonly #isTerminal = process.stdout.isTTY === true
  #done = 0

  constructor(total: number) {
    this.#total = total
  }

  began(file: string): void {
    this.#running.add(file)
    this.#drawBar()
  }

  ended(result: FileResult): void {
    this.#running.delete(result.file)
    this.#done++
    this.clear()
    console.log(lineOf(result))
    for (const { name, error, alive } of result.failures) {
      console.log(`\n  FAILED ${name}\n${indent(error)}`)
      if (alive !== '') console.log(indent(`alive then: ${alive}`))
    }
    if (result.failures.length > 0) {
      if (result.output !== '')
        console.log(`\n  it printed:\n${indent(result.output.slice(-shownOutput).trimEnd())}`)
      console.log(`\n  run it alone: npm test -- ${nameOf(result.file)}\n`)
    }
    this.#drawBar()
  }

  /** Prints the time of each test, and its diagnostics. */
  times(results: readonly FileResult[]): void {
    for (const { file, times, notes } of results) {
      for (const { name, ms } of times) console.log(`${Math.round(ms)} ms  ${nameOf(file)}: ${name}`)
      for (const note of notes) console.log(`note  ${nameOf(file)}: ${note}`)
    }
  }

  /** Prints the summary of a run. */
  sum(results: readonly FileResult[], ms: number): void {
    this.clear()
    const skipped = results.flatMap(({ file, skipped }) => skipped.map((one) => ({ ...one, file })))
    for (const { file, name, why } of skipped) console.log(`skipped in ${nameOf(file)}: ${name} (${why})`)
    const failed = results.filter(({ failures }) => failures.length > 0)
    for (const { file, failures } of failed)
      for (const { name } of failures) console.log(`failed in ${nameOf(file)}: ${name}`)
    const count = (of: (result: FileResult) => number): number =>
      results.reduce((sum, one) => sum + of(one), 0)
    console.log(`\n${results.length} files in ${seconds(ms)}`)
    const counts = [
      `${count(({ passed }) => passed)} passed`,
      `${count(({ failures }) => failures.length)} failed`
    ]
    console.log([...counts, `${skipped.length} skipped`].join(', '))
  }

  #drawBar(): void {
    if (!this.#isTerminal) return
    const filled = Math.round((barWidth * this.#done) / this.#total)
    const bar = '#'.repeat(filled) + '.'.repeat(barWidth - filled)
    const running = [...this.#running].map(nameOf).join(' ')
    const text = `[${bar}] ${this.#done}/${this.#total} ${running}`
    process.stdout.write(`\r\x1b[K${text.slice(0, (process.stdout.columns || 80) - 1)}`)
  }

  /** Removes the bar. */
  clear(): void {
    if (this.#isTerminal) process.stdout.write('\r\x1b[K')
  }
}

function lineOf({ file, ms, passed, failures }: FileResult): string {
  const verdict = failures.length === 0 ? 'ok  ' : 'FAIL'
  return `${verdict} ${seconds(ms).padStart(8)} ${String(passed).padStart(4)} passed  ${nameOf(file)}`
}

function nameOf(file: string): string {
  return file.replace(/\.test\.js$/, '')
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`
}

function indent(text: string): string {
  return text.replace(/^/gm, '    ')
}
