/** A copy of the keeper's file in a directory from which koffi cannot be found. */

import { cpSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const keeperWithoutKoffi = join(mkdtempSync(join(tmpdir(), 'windows-keeper-')), 'keeper.mjs')
cpSync(fileURLToPath(import.meta.resolve('fastify-subprocess-guard/keeper')), keeperWithoutKoffi)
