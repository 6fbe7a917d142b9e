/** Makes text from other processes safe to print. */

/** Replaces control and invisible characters: a process name may contain control codes. */
export function printable(text: string): string {
  return text.replace(/\p{C}/gu, '?')
}
