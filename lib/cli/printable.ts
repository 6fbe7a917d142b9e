/** Command lines and routes for a terminal. */

/** Without what a terminal would take for an order: anybody can name a process as they like. */
export function printable(text: string): string {
  return text.replace(/\p{C}/gu, '?')
}
