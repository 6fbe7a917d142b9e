/** Tells whether a command seems to start a session by itself. */

/**
 * Whether `setsid` is in its program, its arguments, or the line for its shell. A group leader may not start
 * a session: setsid(1) forks and exits at once then, and setsid(2) fails.
 */
export function mayCallSetsid(command: string, args: readonly string[]): boolean {
  // Arguments of a wrong type are rejected later, when the command is started.
  const texts: unknown[] = Array.isArray(args) ? [command, ...args] : [command]
  return texts.some((text) => typeof text === 'string' && text.includes('setsid'))
}
