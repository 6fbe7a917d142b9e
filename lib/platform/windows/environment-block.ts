/** The environment of a new process, as Windows takes it. */

// Programs may fail without these: sockets need SystemRoot, for example. Node.js adds them, too.
const required = [
  'HOMEDRIVE',
  'HOMEPATH',
  'LOGONSERVER',
  'PATH',
  'SYSTEMDRIVE',
  'SYSTEMROOT',
  'TEMP',
  'USERDOMAIN',
  'USERNAME',
  'USERPROFILE',
  'WINDIR'
]

export type Environment = Readonly<Record<string, string | undefined>>

/**
 * Completes an environment: sorted by name, one variable of each name (the case of letters does not matter),
 * and what a program needs from `inherited`, the environment of this process.
 */
export function completeEnvironment(
  env: Environment,
  inherited: Environment
): [name: string, value: string][] {
  const byName = new Map<string, [string, string]>()
  // As in Node.js: of several names that differ in case only, the first one counts.
  for (const name of Object.keys(env).sort()) {
    const value = env[name]
    const key = name.toUpperCase()
    if (value !== undefined && !byName.has(key)) byName.set(key, [name, value])
  }
  for (const name of required) {
    const value = inherited[name]
    if (value !== undefined && !byName.has(name)) byName.set(name, [name, value])
  }
  // Windows searches the block by the order of the names in capital letters.
  return [...byName].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, variable]) => variable)
}

/** The block: each variable ends with a zero, and so does the block. */
export function environmentBlock(variables: readonly (readonly [string, string])[]): Buffer {
  const text = variables.map(([name, value]) => `${name}=${value}\0`).join('')
  return Buffer.from(`${text || '\0'}\0`, 'utf16le')
}
