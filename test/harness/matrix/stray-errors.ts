/** Errors that would have crashed the server, and which cell they belong to. */

import { AsyncLocalStorage } from 'node:async_hooks'

export interface StrayError {
  /** The index of the cell that it belongs to, if known. */
  readonly cell: number | undefined
  readonly text: string
}

const current = new AsyncLocalStorage<number>()
const throwers = new WeakMap<object, number>()
let strays: StrayError[] = []

/** From now on collects these errors, and the process goes on. */
export function collectStrayErrors(): void {
  for (const kind of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(kind, (error: unknown) => {
      const known = typeof error === 'object' && error !== null ? throwers.get(error) : undefined
      strays.push({ cell: known ?? current.getStore(), text: `${kind}: ${textOf(error)}` })
    })
  }
}

/** Runs something so that its errors are assigned to this cell. */
export function runInCell<Result>(cell: number, act: () => Result): Result {
  return current.run(cell, act)
}

/**
 * Assigns an error that a listener has thrown. The event may be emitted in
 * another context, so only the listener knows.
 */
export function assignError(error: unknown, cell: number): void {
  if (typeof error === 'object' && error !== null) throwers.set(error, cell)
}

/** Whether there are any since the last `takeStrayErrors()`. */
export function hasStrayErrors(): boolean {
  return strays.length > 0
}

/** The errors since the last call. */
export function takeStrayErrors(): StrayError[] {
  const taken = strays
  strays = []
  return taken
}

function textOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  const line = String(message ?? error).split('\n')[0]
  return code === undefined ? String(line) : `${code} ${line}`
}
