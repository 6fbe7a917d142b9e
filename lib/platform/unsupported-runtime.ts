/** Tells which runtime other than Node.js runs this process. */

import type * as Sea from 'node:sea'

const names: Readonly<Record<string, string>> = {
  bun: 'Bun',
  deno: 'Deno',
  electron: 'Electron',
  nw: 'NW.js'
}

/** Why the executable of this process cannot run the keeper, with the way out. Undefined if it can. */
export function whyUnsupportedRuntime(): string | undefined {
  const runtime = otherRuntime()
  if (runtime === undefined) return undefined
  return `${process.execPath} is ${runtime} and cannot run the keeper, which needs Node.js: run the server with \`node\`, as a bundle if necessary (see "Bundling" in docs/deployment.md)`
}

function otherRuntime(): string | undefined {
  for (const [key, name] of Object.entries(names)) {
    const version = process.versions[key]
    if (version !== undefined) return `${name} ${version}`
  }
  const sea = process.getBuiltinModule('node:sea') as typeof Sea | undefined
  // The last two are set by older tools (pkg, nexe) that put a script into an executable of Node.
  const isSingle = sea?.isSea() || 'pkg' in process || '__nexe' in process
  return isSingle ? 'a single executable application' : undefined
}
