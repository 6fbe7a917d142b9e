// Removes the declarations of what is not public: they are two thirds of all, and would make the package a third larger.
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
// TypeScript 7 has no API yet.
import ts from 'typescript-api'

const dist = fileURLToPath(new URL('../dist', import.meta.url))
const needed = new Set()
for (const entry of ['index.d.ts', 'adapters/express.d.ts']) visit(join(dist, entry))
for (const name of readdirSync(dist, { recursive: true })) {
  const file = join(dist, name)
  if (name.endsWith('.d.ts') && !needed.has(file)) rmSync(file)
}

function visit(file) {
  if (needed.has(file)) return
  needed.add(file)
  for (const { fileName } of ts.preProcessFile(readFileSync(file, 'utf8')).importedFiles) {
    if (fileName.startsWith('.')) visit(join(dirname(file), fileName.replace(/\.js$/, '.d.ts')))
  }
}
