/** The option `env`: the environment that a command gets. */

import { checkedString } from './validate-arguments.js'

// The operating system's environment: its values are strings without null bytes. A program may replace
// `process.env` by another object.
const systemEnvironment = process.env

/** Every variable that has a value. Inherited properties count, as in Node. */
export function resolveEnvironment(env: NodeJS.ProcessEnv | null | undefined): Record<string, string> {
  const given = env ?? process.env
  const result: Record<string, string> = {}
  for (const name in given) {
    const value = given[name]
    if (value === undefined) continue
    checkedString('a name in options.env', name, 'names must not contain null bytes')
    result[name] = checkedString(`options.env.${name}`, String(value), 'values must not contain null bytes')
  }
  return result
}

/**
 * The worker's environment at this moment, as JSON: that is cheaper than a copy, and the link compares it
 * with what it sent last. An object if the program has replaced `process.env`.
 */
export function workerEnvironment(): Record<string, string> | string {
  return process.env === systemEnvironment ? JSON.stringify(process.env) : resolveEnvironment(process.env)
}
