/** Where the command writes: a terminal of some width and height, or whatever else its output leads to. */

import type { Lettering } from './ps-table.js'

// Home, and what is below it away.
const clear = '\x1b[H\x1b[J'
// What takes two places in a terminal: the scripts of East Asia, and pictures.
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

/** How lines of a tree are drawn there. */
export function lettering(): Lettering {
  const { LC_ALL, LC_CTYPE, LANG } = process.env
  const isUtf8 = /utf-?8/i.test(LC_ALL || LC_CTYPE || LANG || '')
  return process.stdout.isTTY && isUtf8 ? 'unicode' : 'ascii'
}

/** Writes lines, each cut to the width of the terminal. */
export function write(lines: readonly string[]): void {
  process.stdout.write(`${cut(lines).join('\n')}\n`)
}

/** Writes lines in place of those before, cut to the screen; after them where there is no terminal. */
export function rewrite(lines: readonly string[]): void {
  if (!process.stdout.isTTY) {
    write([...lines, ''])
    return
  }
  // The cursor has the last row.
  const rows = (process.stdout.rows || Number.POSITIVE_INFINITY) - 1
  const hidden = lines.length - rows
  const shown = hidden <= 0 ? lines : [...lines.slice(0, rows - 1), `(${hidden + 1} more lines)`]
  // At once, so that nobody sees it half done.
  process.stdout.write(`${clear}${cut(shown).join('\n')}\n`)
}

/** Writes a text after a lead, in lines that fit the terminal, each below the first word of the text. */
export function writeWrapped(lead: string, text: string): void {
  const { isTTY, columns } = process.stdout
  const room = isTTY && columns > 0 ? Math.max(columns - lead.length, 20) : Number.POSITIVE_INFINITY
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= room) lines.push(`${lines.pop()} ${word}`)
    else lines.push(word)
  }
  process.stdout.write(`${lead}${lines.join(`\n${' '.repeat(lead.length)}`)}\n`)
}

function cut(lines: readonly string[]): string[] {
  const { isTTY, columns } = process.stdout
  return lines.map((line) => (isTTY && columns > 0 ? cutTo(columns, line) : line))
}

function cutTo(columns: number, line: string): string {
  let width = 0
  let fitting = ''
  let result = ''
  for (const character of line) {
    width += isWide.test(character) ? 2 : 1
    if (width > columns) return lettering() === 'unicode' ? `${result}…` : `${result.slice(0, -2)}...`
    fitting += character
    // There must be room for the mark of the cut.
    if (width < columns) result = fitting
  }
  return line
}
