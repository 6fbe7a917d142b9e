/** Loads compiled files of the package that are not public. */

import { fileURLToPath } from 'node:url'

/**
 * Resolves with the module `dist/<path>.js`, which finds the platform loaded. `path` is relative to `lib`, without
 * its extension.
 */
export async function compiled<Module>(path: string): Promise<Module> {
  const { loadPlatform } = await import(urlOf('platform/current'))
  await loadPlatform()
  return import(urlOf(path))
}

function urlOf(path: string): string {
  return new URL(`../../../dist/${path}.js`, import.meta.url).href
}

/** The keeper's file. */
export const keeperFile = fileURLToPath(new URL('../../../dist/keeper/main.js', import.meta.url))
