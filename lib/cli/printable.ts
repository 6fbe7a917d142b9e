/** Makes text from other processes safe to print. */

/**
 * Replaces control and invisible characters: anybody can put a terminal's control codes into the name of a
 * process.
 */
export function printable(text: string): string {
  return text.replace(/\p{C}/gu, '?')
}
