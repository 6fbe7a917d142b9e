/** Loads compiled files of the package that are not public. */

import { fileURLToPath } from 'node:url'

/** Resolves with the module `dist/<path>.js`. `path` is relative to `lib`, without its extension. */
export function compiled<Module>(path: string): Promise<Module> {
  return import(new URL(`../../../dist/${path}.js`, import.meta.url).href)
}

/** The keeper's file. */
export const keeperFile = fileURLToPath(new URL('../../../dist/keeper/main.js', import.meta.url))
