/** What runs this process, where it is not Node.js. */

import type * as Sea from 'node:sea'

const names: Readonly<Record<string, string>> = {
  bun: 'Bun',
  deno: 'Deno',
  electron: 'Electron',
  nw: 'NW.js'
}

/** Why the program of this process could run no keeper, with the way out; undefined where it can. */
export function whyNoNode(): string | undefined {
  const runtime = otherRuntime()
  if (runtime === undefined) return undefined
  return `${process.execPath} is ${runtime} and could not run the keeper, which needs Node.js: run the server with \`node\`, bundled if need be (see "Bundling" in docs/deployment.md)`
}

function otherRuntime(): string | undefined {
  for (const [key, name] of Object.entries(names)) {
    const version = process.versions[key]
    if (version !== undefined) return `${name} ${version}`
  }
  const sea = process.getBuiltinModule('node:sea') as typeof Sea | undefined
  // Two older tools put a script into a Node of their own, and leave these behind.
  const isSingle = sea?.isSea() || 'pkg' in process || '__nexe' in process
  return isSingle ? 'a single executable application' : undefined
}
