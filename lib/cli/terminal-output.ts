/** Writes lines to standard output: fitted to a terminal, or unchanged to a file or a pipe. */

import type { LineStyle } from './ps-table.js'

// Moves the cursor to the top left, and clears everything below it.
const clear = '\x1b[H\x1b[J'
// Characters that are two columns wide: East Asian scripts and emoji.
const wide = [
  ['\u1100', '\u115f'],
  ['\u2e80', '\ua4cf'],
  ['\uac00', '\ud7a3'],
  ['\uf900', '\ufaff'],
  ['\ufe30', '\ufe6f'],
  ['\uff00', '\uff60'],
  ['\uffe0', '\uffe6'],
  ['\u{1f300}', '\u{1faff}']
]
const isWide = new RegExp(`^[${wide.map((range) => range.join('-')).join('')}]`, 'u')

/** The characters that a tree can be drawn with here. */
export function lineStyle(): LineStyle {
  const { LC_ALL, LC_CTYPE, LANG } = process.env
  const isUtf8 = /utf-?8/i.test(LC_ALL || LC_CTYPE || LANG || '')
  return process.stdout.isTTY && isUtf8 ? 'unicode' : 'ascii'
}

/** Writes lines, each cut to the width of the terminal. */
export function writeLines(lines: readonly string[]): void {
  process.stdout.write(`${cutLines(lines).join('\n')}\n`)
}

/** Replaces the lines on the terminal, cut to its size. Without one, appends lines and a blank one. */
export function replaceLines(lines: readonly string[]): void {
  if (!process.stdout.isTTY) {
    writeLines([...lines, ''])
    return
  }
  // The last row is for the cursor.
  const rows = (process.stdout.rows || Number.POSITIVE_INFINITY) - 1
  const hidden = lines.length - rows
  const shown = hidden <= 0 ? lines : [...lines.slice(0, rows - 1), `(${hidden + 1} more lines)`]
  // In one write, to avoid flicker.
  process.stdout.write(`${clear}${cutLines(shown).join('\n')}\n`)
}

/** Writes a text after a prefix, wrapped to the width of the terminal, with its lines aligned. */
export function writeWrapped(prefix: string, text: string): void {
  const { isTTY, columns } = process.stdout
  const width = isTTY && columns > 0 ? Math.max(columns - prefix.length, 20) : Number.POSITIVE_INFINITY
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= width) lines.push(`${lines.pop()} ${word}`)
    else lines.push(word)
  }
  process.stdout.write(`${prefix}${lines.join(`\n${' '.repeat(prefix.length)}`)}\n`)
}

function cutLines(lines: readonly string[]): string[] {
  const { isTTY, columns } = process.stdout
  return lines.map((line) => (isTTY && columns > 0 ? cutTo(columns, line) : line))
}

function cutTo(columns: number, line: string): string {
  let width = 0
  let fitting = ''
  let result = ''
  for (const character of line) {
    width += isWide.test(character) ? 2 : 1
    if (width > columns) return lineStyle() === 'unicode' ? `${result}…` : `${result.slice(0, -2)}...`
    fitting += character
    // Leave room for the ellipsis.
    if (width < columns) result = fitting
  }
  return line
}
