/** Replaces a method of one object, or runs something before it. */

/** Replaces the method on this object only. Returns a function that restores the object. */
export function overrideMethod(object: object, name: string, value: unknown): () => void {
  const before = Object.getOwnPropertyDescriptor(object, name)
  Object.defineProperty(object, name, { configurable: true, writable: true, value })
  return () => {
    if (before === undefined) Reflect.deleteProperty(object, name)
    else Object.defineProperty(object, name, before)
  }
}

/**
 * Calls `act` before each call of the method. If `act` returns `'skip'`, returns false instead of calling it.
 */
export function runBefore<Name extends string>(
  object: { [name in Name]: (...args: never[]) => unknown },
  name: Name,
  act: (...args: unknown[]) => unknown
): void {
  const method = object[name] as (...args: unknown[]) => unknown
  const replacement = (...args: unknown[]): unknown => {
    if (act(...args) === 'skip') return false
    // `act` may have replaced the method again: an EventHold does.
    const now = object[name] as (...args: unknown[]) => unknown
    return now === replacement ? method.apply(object, args) : now.apply(object, args)
  }
  overrideMethod(object, name, replacement)
}
