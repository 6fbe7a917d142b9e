/**
 * Runs all benchmarks, or the named ones, one after the other, and writes their results: JSON, a table and
 * charts.
 *
 * node build/benchmarks/main.js [NAME…] [--short] [--out FOLDER | --write]
 */

import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { svgOf } from './harness/chart.js'
import { describe } from './harness/machine.js'
import type { Result } from './harness/result.js'
import { markdownOf } from './harness/table.js'

const names = [
  'requests',
  'pipeline',
  'open-requests',
  'blocked',
  'latency',
  'spawn-time',
  'spawn-rate',
  'throughput',
  'tree',
  'cgroup',
  'crowd',
  'deadline',
  'crash',
  'loss',
  'keeper',
  'limits'
]
const { short, out, positionals } = readArguments()
const chosen = positionals.length === 0 ? names : positionals
const unknown = chosen.filter((name) => !names.includes(name))
if (unknown.length > 0) {
  console.error(`unknown benchmark: ${unknown.join(', ')}; choose from ${names.join(', ')}`)
  process.exit(2)
}

// Always in the order of the list above.
const failed: string[] = []
for (const name of names.filter((name) => chosen.includes(name))) {
  const startedAt = performance.now()
  const file = fileURLToPath(new URL(`./${name}.js`, import.meta.url))
  const args = [file, '--out', out, ...(short ? ['--short'] : [])]
  const { status, signal } = spawnSync(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] })
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1)
  console.log(`${name}: ${status === 0 ? 'done' : `failed with ${signal ?? status}`} after ${seconds} s\n`)
  if (status === 0) writeCharts(resultOf(name))
  else failed.push(name)
}
writeTable()
console.log(`JSON, table and charts were written to ${out}`)
if (failed.length > 0) {
  console.error(`failed: ${failed.join(', ')}`)
  process.exitCode = 1
}

function resultOf(name: string): Result {
  return JSON.parse(readFileSync(join(out, `${name}.json`), 'utf8'))
}

function writeCharts({ name, title, panels }: Result): void {
  for (const [index, panel] of panels.entries()) {
    writeFileSync(join(out, chartFile(name, index)), svgOf(title, panel))
  }
}

function chartFile(name: string, index: number): string {
  return index === 0 ? `${name}.svg` : `${name}-${index + 1}.svg`
}

function readArguments(): { short: boolean; out: string; positionals: string[] } {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        short: { type: 'boolean', default: false },
        out: { type: 'string' },
        write: { type: 'boolean', default: false }
      }
    })
    const { short, write } = values
    if (write && (short || values.out !== undefined)) {
      throw new Error(
        '--write replaces the results in the documentation, which must come from a full run: use it without --short and --out'
      )
    }
    // Git ignores all of these directories except `results`, which is for the documentation.
    const folder = write
      ? '../../benchmarks/results'
      : short
        ? '../results-short'
        : '../../benchmarks/results-local'
    const { out = fileURLToPath(new URL(folder, import.meta.url)) } = values
    return { short, out, positionals }
  } catch (error) {
    console.error(`${(error as Error).message}\nUsage: main.js [NAME…] [--short] [--out FOLDER | --write]`)
    process.exit(2)
  }
}

/** Writes a table of all results in the directory, including those of earlier runs. */
function writeTable(): void {
  mkdirSync(out, { recursive: true })
  const results = names.flatMap((name) => {
    try {
      return [resultOf(name)]
    } catch {
      // This benchmark has not run yet.
      return []
    }
  })
  const parts = results.map((result) => {
    const charts = result.panels.map((_, index) => `![${result.title}](${chartFile(result.name, index)})`)
    return `${markdownOf(result)}\nMeasured on ${describe(result.machine)}.\n\n${charts.join('\n')}\n`
  })
  writeFileSync(join(out, 'README.md'), `# Results\n\n${parts.join('\n')}`)
}
