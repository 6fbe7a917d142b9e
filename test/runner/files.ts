/** Which test files run, and in which order. */

import { readdirSync } from 'node:fs'

export interface Plan {
  /** Run side by side, in this order. */
  readonly together: readonly string[]
  /** Run one after the other when the others are done: they assert bounds in time, take all processors, or ask every keeper on the machine. */
  readonly alone: readonly string[]
}

/** What takes longest starts first: the end of a run does not wait for a file that has begun late. */
const slowFirst = [
  ...[
    'ownership',
    'hung',
    'comparison',
    'drop-in',
    'private-tmp',
    'sweep',
    'worker',
    'mcp',
    'package',
    'bundle',
    'tree'
  ],
  ...[
    'capture-release',
    'keeper-loss',
    'deployment-pm2',
    'hooks',
    'watchdog',
    'rights',
    'deployment-cluster'
  ],
  ...['watch', 'keeper-start', 'request']
]

/** The folder of files that `npm test` leaves to `npm run test:all`. */
const long = 'long/'
const alone = '/alone/'

/**
 * The test files below a folder, as paths from there: those that have one of `parts` in their path; without parts all that
 * are not long. With `isBut`, those that would run without parts and have none of `parts` in their path.
 */
export function planOf(folder: string, parts: readonly string[], isBut: boolean): Plan {
  const hasPart = (file: string): boolean => parts.some((part) => file.includes(part))
  const isChosen = (file: string): boolean =>
    parts.length > 0 && !isBut ? hasPart(file) : !file.startsWith(long) && !hasPart(file)
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.js') && isChosen(file))
    .sort((one, other) => rankOf(one) - rankOf(other) || one.localeCompare(other))
  const isApart = (file: string): boolean => `/${file}`.includes(alone)
  return { together: files.filter((file) => !isApart(file)), alone: files.filter(isApart) }
}

function rankOf(file: string): number {
  const index = slowFirst.findIndex((name) => file.endsWith(`${name}.test.js`))
  return index === -1 ? slowFirst.length : index
}
