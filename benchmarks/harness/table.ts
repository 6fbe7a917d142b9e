/** Formats a result as Markdown, for the terminal and the documentation. */

import type { Aim, Panel, Result } from './result.js'

export function markdownOf({ name, title, isShort, panels, aims, notes }: Result): string {
  const short = isShort ? '\n\n**Short form: these figures only show that the program works.**' : ''
  const parts = [`## ${name}\n\n${title}${short}`, ...panels.map(tableOf)]
  if (aims.length > 0) parts.push(aims.map(lineOf).join('\n'))
  if (notes.length > 0) parts.push(notes.map((note) => `- ${note}`).join('\n'))
  return `${parts.join('\n\n')}\n`
}

function tableOf({ quantity, unit, cases, measures }: Panel): string {
  const rows = measures.map(({ contestant, case: of, median, q1, q3, p99, count }) => {
    const figures = [figure(median), `${figure(q1)} to ${figure(q3)}`, figure(p99), String(count)]
    return cases === '' ? [contestant, ...figures] : [of, contestant, ...figures]
  })
  const columns = [`median, ${unit}`, 'quartiles', 'p99', 'samples']
  const head = cases === '' ? ['', ...columns] : [cases, '', ...columns]
  return `${quantity}:\n\n${grid([head, ...rows])}`
}

function grid(rows: readonly (readonly string[])[]): string {
  const [head = []] = rows
  const widths = head.map((_, column) => Math.max(3, ...rows.map((row) => row[column]?.length ?? 0)))
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] as number)).join(' | ')} |`
  const rule = line(widths.map((width) => '-'.repeat(width)))
  return [line(head), rule, ...rows.slice(1).map(line)].join('\n')
}

function lineOf({ what, value, unit, bound, isReached }: Aim): string {
  const aim = 'atMost' in bound ? `at most ${figure(bound.atMost)}` : `at least ${figure(bound.atLeast)}`
  const verdict = isReached ? 'reached' : '**not reached**'
  return `- ${what}: ${figure(value)}${unit === '' ? '' : ` ${unit}`} (aim: ${aim}; ${verdict})`
}

/** Formats a number with three significant digits. */
export function figure(value: number): string {
  if (value === 0) return '0'
  if (Math.abs(value) >= 1_000) return Math.round(value).toLocaleString('en')
  return String(Number(value.toPrecision(3)))
}
