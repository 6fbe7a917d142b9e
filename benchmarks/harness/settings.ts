/** The command line options of a benchmark. */

import { parseArgs } from 'node:util'

export interface Settings {
  /** Few rounds and small sizes: enough to see that the program works, but not for meaningful figures. */
  readonly short: boolean
  /** The directory for the result; undefined for none. */
  readonly out: string | undefined
}

/** Parses the command line. Ends the process with status 2 if it is wrong. */
export function readSettings(): Settings {
  try {
    const { values } = parseArgs({ options: { short: { type: 'boolean' }, out: { type: 'string' } } })
    return { short: values.short ?? false, out: values.out }
  } catch (error) {
    console.error(`${(error as Error).message}\nOptions: --short, --out FOLDER`)
    process.exit(2)
  }
}
