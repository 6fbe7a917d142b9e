/** Prints which paths of the package can be imported and which can be required. */

import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
for (const path of ['package.json', 'express', 'keeper', 'dist/guard/guard.js']) {
  for (const resolve of [import.meta.resolve, require.resolve]) {
    try {
      resolve(`fastify-subprocess-guard/${path}`)
      console.log(path, 'resolves')
    } catch (error) {
      console.log(path, error.code)
    }
  }
}
