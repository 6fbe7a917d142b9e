/** A process, as the demo shows it, and the mark that it is found by. */

/** The environment variable that the routes set for the program. Its descendants inherit it. */
export const markName = 'DEMO_REQUEST'

/** One line of a table. */
export interface ProcessRow {
  readonly pid: number
  readonly parent: number
  readonly bytes: number
  readonly command: string
}
