/** Whether a command seems to begin a session by itself. */

/**
 * `setsid` as its program, in its arguments, or in the line for its shell. Who leads a group already may not begin a session:
 * setsid(1) forks then and is over at once, and setsid(2) fails.
 */
export function namesSetsid(command: string, args: readonly string[]): boolean {
  // Whoever starts it refuses what is no text, and no list of it.
  const texts: unknown[] = Array.isArray(args) ? [command, ...args] : [command]
  return texts.some((text) => typeof text === 'string' && text.includes('setsid'))
}
