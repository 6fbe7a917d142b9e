/** Checks whether the package supports this version of Node. */

import { createRequire } from 'node:module'
import type { Finding } from '../../platform/platform.js'

export function checkNode(version: string = process.versions.node): Finding {
  // By the name of the package: the path from here differs between this module and the bundle.
  const { engines } = createRequire(import.meta.url)('fastify-subprocess-guard/package.json')
  const name = 'node'
  if (isWithin(version, engines.node)) {
    return { name, severity: 'ok', says: `Node ${version} is supported.` }
  }
  const says = `Node ${version} is not supported: the package needs ${engines.node}.`
  return { name, severity: 'problem', says, toDo: 'Run the server on a newer Node.' }
}

/**
 * Only for ranges in the form that this package uses: alternatives of `^` and `>=`, with all three numbers.
 */
function isWithin(version: string, range: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number.parseFloat)
  return range.split('||').some((alternative) => {
    const [, operator, ...numbers] = /^(\^|>=)(\d+)\.(\d+)\.(\d+)$/.exec(alternative.trim()) ?? []
    const [minMajor = 0, minMinor = 0, minPatch = 0] = numbers.map(Number)
    if (operator === undefined || (operator === '^' && major !== minMajor)) return false
    return (major - minMajor || minor - minMinor || patch - minPatch) >= 0
  })
}
