/** Prints the demo: titles, tables of processes, and the summary. */

import { styleText } from 'node:util'
import { memoryKind, type ProcessRow } from './processes.js'
import type { SceneResult } from './run.js'

type Style = Parameters<typeof styleText>[0]

const isColoured = process.stdout.isTTY && !process.env.NO_COLOR
const megabyte = 1024 * 1024
// Together with the columns before it, 100 columns.
const longestCommand = 62

export function say(text = '', style?: Style): void {
  console.log(isColoured && style !== undefined ? styleText(style, text) : text)
}

export function sayScene(number: number, scene: SceneResult): void {
  say()
  say(`  ${number}. ${scene.title}`, 'bold')
  sayProcesses('before', scene.before)
  say(`     ${scene.ended}`)
  sayProcesses(`after ${scene.afterMs} ms`, scene.after)
  if (scene.report !== undefined) say(`     guard's log: ${scene.report}`, 'cyan')
}

function sayProcesses(when: string, rows: readonly ProcessRow[]): void {
  if (rows.length === 0) {
    say(`     ${when}: none alive`, 'green')
    return
  }
  say(`     ${when}: ${amountOf(rows)}`, when === 'before' ? undefined : 'red')
  say(`     ${'PID'.padStart(8)} ${'PPID'.padStart(8)} ${`${memoryKind} MB`.padStart(10)}  COMMAND`, 'dim')
  for (const { pid, parent, bytes, command } of rows) {
    const numbers = [String(pid).padStart(8), String(parent).padStart(8), megabytes(bytes).padStart(10)]
    say(`     ${numbers.join(' ')}  ${shortened(command)}`)
  }
}

/** One line for each scene of each run. */
export function saySummary(runs: readonly { name: string; scenes: readonly SceneResult[] }[]): void {
  say('SUMMARY', 'bold')
  const columns = (cells: readonly string[]): string =>
    `  ${cells[0]?.padEnd(14)} ${cells[1]?.padEnd(43)} ${cells[2]?.padStart(17)} ${cells[3]?.padStart(17)}`
  say(columns(['', '', 'alive before', 'alive after']), 'dim')
  for (const { name, scenes } of runs) {
    for (const { title, before, after } of scenes) {
      say(
        columns([name, title, shortAmountOf(before), shortAmountOf(after)]),
        after.length > 0 ? 'red' : 'green'
      )
    }
  }
}

/** For example `3 processes and 96 MB`. */
export function amountOf(rows: readonly ProcessRow[]): string {
  return `${rows.length} ${rows.length === 1 ? 'process' : 'processes'} and ${memoryOf(rows)}`
}

function shortAmountOf(rows: readonly ProcessRow[]): string {
  return rows.length === 0 ? 'none' : `${rows.length} (${memoryOf(rows)})`
}

/** For example `96 MB`. */
export function memoryOf(rows: readonly ProcessRow[]): string {
  return `${megabytes(rows.reduce((sum, { bytes }) => sum + bytes, 0))} MB`
}

function megabytes(bytes: number): string {
  return (bytes / megabyte).toFixed(0)
}

function shortened(command: string): string {
  return command.length > longestCommand ? `${command.slice(0, longestCommand - 1)}…` : command
}
