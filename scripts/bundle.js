// Bundles the entries of processes that start often into one file each, because loading many modules takes time at each start. For the
// keeper this saves 20 ms and 1 MB, and a bundled server needs its file next to itself. For the tests' workers, which contain Fastify, it
// saves a quarter of their processor time.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const pathOf = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url))

const { version } = JSON.parse(readFileSync(pathOf('package.json'), 'utf8'))
await bundle('dist/keeper/main.js', {
  external: ['koffi'],
  // The worker recognises the file by its first line (lib/link/keeper-file.ts).
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

/** Replaces a compiled entry by a bundle of the entry and its imports. */
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
