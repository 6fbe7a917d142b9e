/** Finds the keeper's file (`keeper/main.ts`), and checks that it is a keeper of this version. */

import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { version } from '../version.js'

/** The name of the keeper's file beside a bundled server. */
const bundledName = 'subprocess-guard-keeper.mjs'
// `scripts/bundle.js` writes this text. The brackets prevent that the expression, in the bundle of a server,
// matches itself.
const signature = /\bfastify-subprocess-guard[ ]keeper (\S+)/

const wayOut =
  'beside the bundle of a server, put a copy of the file fastify-subprocess-guard/keeper ' +
  `under the name ${bundledName}, or give its path as \`keeperPath\` (see "Bundling" in docs/deployment.md)`

/**
 * The path of the keeper's file: the given one, or else the one of this package or the one beside this
 * bundle. Throws if there is none: in a bundle, the path within the package may well be that of another
 * program, such as the server itself.
 */
export function findEntry(keeperPath?: string): string {
  if (keeperPath === undefined && process.versions.pnp !== undefined) {
    throw new Error(
      "Yarn Plug'n'Play keeps packages in archives, which the keeper could not read: " +
        'set nodeLinker to node-modules in .yarnrc.yml'
    )
  }
  const paths = keeperPath === undefined ? ownPaths() : [keeperPath]
  const refusals: string[] = []
  for (const path of paths) {
    const why = whyNotKeeper(path)
    if (why === undefined) return path
    refusals.push(`${path} ${why}`)
  }
  const where = keeperPath === undefined ? refusals.join('; ') : `keeperPath: ${refusals}`
  throw new Error(`no keeper was found (${where || 'this module has no path'}): ${wayOut}`)
}

function ownPaths(): string[] {
  const directory = ownDirectory()
  if (directory === undefined) return []
  return ['../keeper/main.js', bundledName].map((name) => join(directory, name))
}

/**
 * Undefined if unknown: in a CommonJS bundle this module has no URL, and in others the URL may not be a
 * file's.
 */
function ownDirectory(): string | undefined {
  const url: string | undefined = import.meta.url
  if (url?.startsWith('file:')) return dirname(fileURLToPath(url))
  return typeof __dirname === 'string' ? __dirname : undefined
}

function whyNotKeeper(path: string): string | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    return `cannot be read (${(error as NodeJS.ErrnoException).code})`
  }
  const [, found] = signature.exec(text) ?? []
  if (found === undefined) return 'is another program'
  return found === version ? undefined : `is the keeper of version ${found}, and this is version ${version}`
}
