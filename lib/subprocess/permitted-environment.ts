/** The key `env` of a policy: the variables that a command gets. */

import { platform } from '../platform/current.js'
import { allowedNames, forbidden } from './forbidden.js'
import { resolveEnvironment } from './resolve-environment.js'

/**
 * The variables of `given`, or else of the worker, that are on the list. The worker's own values of others are
 * left out: who passes a copy of `process.env` means its defaults. Throws `ERR_SUBPROCESS_FORBIDDEN` for other
 * values.
 */
export function permittedEnvironment(
  allowed: readonly string[],
  given: NodeJS.ProcessEnv | null | undefined
): NodeJS.ProcessEnv {
  const listed = new Set(allowed.map(comparable))
  // Without a prototype: what a polluted one has would be a variable.
  const result: NodeJS.ProcessEnv = Object.create(null)
  for (const [name, value] of Object.entries(resolveEnvironment(given))) {
    if (listed.has(comparable(name))) result[name] = value
    else if (value !== process.env[name]) {
      // Without its value, which may be a secret.
      throw forbidden(`the variable ${name} of options.env; policy.env allows ${allowedNames(allowed)}`)
    }
  }
  return result
}

/** The PATH of an environment, or where programs are looked for without one. */
export function pathOf(env: NodeJS.ProcessEnv): string {
  const names = platform.ignoresCase ? Object.keys(env).sort() : ['PATH']
  const name = names.find((one) => comparable(one) === 'PATH')
  return (name === undefined ? undefined : env[name]) ?? platform.defaultPath()
}

function comparable(name: string): string {
  return platform.ignoresCase ? name.toUpperCase() : name
}
