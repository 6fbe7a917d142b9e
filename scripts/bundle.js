// Makes entries of processes that start often one file each, since to find and read their modules takes time at each start:
// the keeper's (20 ms and 1 MB less; and a bundled server needs it beside itself as one file), and those of the tests' workers, with Fastify in them (a quarter of their processor time).
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const pathOf = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url))

const { version } = JSON.parse(readFileSync(pathOf('package.json'), 'utf8'))
await bundle('dist/keeper/main.js', {
  external: ['koffi'],
  // By the first line the worker knows the file (lib/link/keeper-file.ts).
  banner: {
    js:
      `/*! fastify-subprocess-guard keeper ${version}\n` +
      ' *  includes p-timeout, Copyright (c) Sindre Sorhus, MIT License */'
  }
})
for (const entry of ['worker-main', 'watched-main']) {
  await bundle(`build/test/harness/${entry}.js`, {
    external: ['fastify-subprocess-guard', 'close-with-grace'],
    // Fastify and Express are CommonJS.
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)"
    }
  })
}

/** Puts a compiled entry and what it imports in the entry's place. */
function bundle(entry, options) {
  return build({
    entryPoints: [pathOf(entry)],
    outfile: pathOf(entry),
    allowOverwrite: true,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'es2023',
    logLevel: 'warning',
    ...options
  })
}
