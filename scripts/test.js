// Runs the compiled tests, all or those whose path contains one of the arguments: `npm test -- deadline tree`.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const folder = fileURLToPath(new URL('../build/test', import.meta.url))
const wanted = process.argv.slice(2)
const files = readdirSync(folder, { recursive: true })
  .filter((file) => file.endsWith('.test.js'))
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
  .map((file) => `${folder}/${file}`)

if (files.length === 0) {
  console.error(`no test file has ${wanted.join(' or ')} in its path`)
  process.exit(1)
}

// One file at a time: the bounds in which a process must be gone are those of a machine that has room.
const flags = ['--test', '--test-concurrency=1', '--test-timeout=120000']
const { status } = spawnSync(process.execPath, [...flags, ...files], { stdio: 'inherit' })
process.exit(status ?? 1)
