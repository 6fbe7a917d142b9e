// Runs the compiled tests: all, those whose path contains one of the arguments (`npm test -- deadline tree`), or all but
// those (`npm test -- --but deadline tree`).
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const folder = fileURLToPath(new URL('../build/test', import.meta.url))
const isBut = process.argv[2] === '--but'
const parts = process.argv.slice(isBut ? 3 : 2)
const files = readdirSync(folder, { recursive: true })
  .filter((file) => file.endsWith('.test.js'))
  .filter((file) => parts.length === 0 || parts.some((part) => file.includes(part)) !== isBut)
  .map((file) => `${folder}/${file}`)

if (files.length === 0) {
  console.error(`no test file has ${parts.join(' or ')} in its path`)
  process.exit(1)
}

// One file at a time: the bounds in which a process must be gone are those of a machine that has room. The time is that of a
// whole file, of which the longest take a minute.
const flags = ['--test', '--test-concurrency=1', '--test-timeout=300000']
const { status } = spawnSync(process.execPath, [...flags, ...files], { stdio: 'inherit' })
process.exit(status ?? 1)
