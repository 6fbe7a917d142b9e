/**
 * The tests of the native calls of Windows. Wine will do. Usage: `node build/test/windows/native/main.js [name…]`, with
 * koffi's build for Windows in `node_modules`.
 */

import { after } from 'node:test'

// A test that failed may have left a connection.
after(() => setTimeout(() => process.exit(), 2_000).unref())

const names = process.argv.slice(2)
for (const name of names.length > 0 ? names : ['jobs', 'starts', 'streams', 'processes'])
  await import(`./${name}.js`)
