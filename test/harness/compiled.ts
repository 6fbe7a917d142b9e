/** Loads a compiled file of the package that is not public. */

import { fileURLToPath } from 'node:url'

/** Resolves with the module `dist/<path>.js`; `path` is as below `lib`, without the ending. */
export function compiled<Module>(path: string): Promise<Module> {
  return import(new URL(`../../../dist/${path}.js`, import.meta.url).href)
}

/** The keeper's file. */
export const keeperFile = fileURLToPath(new URL('../../../dist/keeper/main.js', import.meta.url))
