/** Selects the test files of a run, and their order. */

import { readdirSync } from 'node:fs'

export interface Plan {
  /** Files that run concurrently, in this order. */
  readonly together: readonly string[]
  /**
   * Files that run one at a time after all others: they assert time bounds, use all
   * processors, or query all keepers of the machine.
   */
  readonly alone: readonly string[]
}

/** Slow files start first, so that the end of a run does not wait for one that has started late. */
const slowFirst = [
  ...[
    'tree-level',
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

/** The directory of the files that `npm test` leaves to `npm run test:all`. */
const long = 'long/'
const alone = '/alone/'

/**
 * The test files below a directory, as relative paths: those whose path contains one of `parts`, or,
 * without parts, all that are not long. With `isBut`: those that would run without parts, except
 * those whose path contains one of `parts`.
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
