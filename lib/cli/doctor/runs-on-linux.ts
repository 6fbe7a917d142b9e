/** Whether the guard can run here at all: Node and Linux. */

import { readFileSync } from 'node:fs'
import type { Finding } from './finding.js'

export function findNode(version: string = process.versions.node): Finding {
  const manifest = new URL('../../../package.json', import.meta.url)
  const { engines } = JSON.parse(readFileSync(manifest, 'utf8'))
  const name = 'node'
  if (isWithin(version, engines.node)) {
    return { name, severity: 'ok', says: `Node ${version} is supported.` }
  }
  const says = `Node ${version} is not supported: the package needs ${engines.node}.`
  return { name, severity: 'problem', says, toDo: 'Run the server on a newer Node.' }
}

/** For ranges as this package has them: alternatives of `^` and `>=`, with all three numbers. */
function isWithin(version: string, range: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number.parseFloat)
  return range.split('||').some((alternative) => {
    const [, operator, ...numbers] = /^(\^|>=)(\d+)\.(\d+)\.(\d+)$/.exec(alternative.trim()) ?? []
    const [leastMajor = 0, leastMinor = 0, leastPatch = 0] = numbers.map(Number)
    if (operator === undefined || (operator === '^' && major !== leastMajor)) return false
    return (major - leastMajor || minor - leastMinor || patch - leastPatch) >= 0
  })
}

export function findSystem(): Finding {
  const name = 'system'
  if (process.platform === 'linux') return { name, severity: 'ok', says: 'This is Linux.' }
  const says = `This is ${process.platform}: the guard finds processes in /proc, which only Linux has.`
  return { name, severity: 'problem', says, toDo: 'Run the server on Linux, in a container if need be.' }
}
