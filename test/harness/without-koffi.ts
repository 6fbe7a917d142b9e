/** The package installed without its optional dependency. */

import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type subprocessGuard from 'fastify-subprocess-guard'
import type { createGuard } from 'fastify-subprocess-guard'

const root = fileURLToPath(new URL('../../../', import.meta.url))

export interface Installed {
  readonly plugin: typeof subprocessGuard
  readonly createGuard: typeof createGuard
  /** The entry file of the command. */
  readonly cli: string
  /** The URL by which another process imports it. */
  readonly url: string
  remove(): void
}

export async function installWithoutKoffi(): Promise<Installed> {
  const folder = mkdtempSync(join(tmpdir(), 'without-koffi-'))
  mkdirSync(join(folder, 'node_modules'))
  cpSync(join(root, 'dist'), join(folder, 'dist'), { recursive: true })
  cpSync(join(root, 'package.json'), join(folder, 'package.json'))
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  for (const name of Object.keys(dependencies)) {
    symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name))
  }
  // Workers of other users read it too.
  chmodSync(folder, 0o755)
  const url = pathToFileURL(join(folder, 'dist', 'index.js')).href
  const { default: plugin, createGuard } = await import(url)
  return {
    plugin,
    createGuard,
    cli: join(folder, 'dist/cli/subprocess-guard.js'),
    url,
    remove: () => rmSync(folder, { recursive: true, force: true })
  }
}
