/** Errors that would have ended the server, and whose they are. */

import { AsyncLocalStorage } from 'node:async_hooks'

export interface StrayError {
  /** Which course it belongs to, where that is known. */
  readonly course: number | undefined
  readonly text: string
}

const current = new AsyncLocalStorage<number>()
const throwers = new WeakMap<object, number>()
let strays: StrayError[] = []

/** From now on such errors are collected, and the process goes on. */
export function collectStrayErrors(): void {
  for (const kind of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(kind, (error: unknown) => {
      const known = typeof error === 'object' && error !== null ? throwers.get(error) : undefined
      strays.push({ course: known ?? current.getStore(), text: `${kind}: ${textOf(error)}` })
    })
  }
}

/** Runs what belongs to a course so that its errors are known as its own. */
export function runCourse<Result>(course: number, act: () => Result): Result {
  return current.run(course, act)
}

/** An event may come in the context of what emits it: then only the listener can tell. */
export function noteThrower(error: unknown, course: number): void {
  if (typeof error === 'object' && error !== null) throwers.set(error, course)
}

/** Whether there are some since they were last taken. */
export function hasStrayErrors(): boolean {
  return strays.length > 0
}

/** Those since the last call. */
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
