/** What a benchmark is started with. */

import { parseArgs } from 'node:util'

export interface Settings {
  /** Few rounds and small sizes: enough to see that the program works, and not to trust its figures. */
  readonly short: boolean
  /** Folder to write the result into; undefined for none. */
  readonly out: string | undefined
}

/** From the command line. Ends the process with status 2 when that is wrong. */
export function readSettings(): Settings {
  try {
    const { values } = parseArgs({ options: { short: { type: 'boolean' }, out: { type: 'string' } } })
    return { short: values.short ?? false, out: values.out }
  } catch (error) {
    console.error(`${(error as Error).message}\nThere are --short and --out FOLDER.`)
    process.exit(2)
  }
}
