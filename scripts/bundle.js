// Bundles the entries, because Node finds, reads and links each module by itself, which takes time at each start. As one file, the keeper
// starts 20 ms sooner and uses 1 MB less, and a bundled server needs one file next to itself. The package's own entries load in half the
// time. The tests' workers, which contain Fastify, need a quarter less processor time.
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const pathOf = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url))

// tree-kill is not installed with the package: the files that may need it contain it. It is a CommonJS module, and a bundle of ES modules
// has no require().
const treeKill = {
  name: 'tree-kill',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^tree-kill$/ }, () => ({ path: pathOf('node_modules/tree-kill/index.js') }))
    onLoad({ filter: /[/\\]tree-kill[/\\]index\.js$/ }, async ({ path }) => {
      const source = await readFile(path, 'utf8')
      const contents = source
        .replace(
          "var childProcess = require('child_process');",
          "import childProcess from 'node:child_process';"
        )
        .replace('module.exports =', 'export default')
      if (/\b(require|module)\b/.test(contents)) throw new Error('this version of tree-kill is unknown here')
      // The text of the licence is in LICENSE.
      return {
        contents: `/*! includes tree-kill, Copyright (c) 2018 Peter Krumins, MIT License */\n${contents}`
      }
    })
  }
}
const common = {
  allowOverwrite: true,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'es2023',
  logLevel: 'warning',
  plugins: [treeKill]
}

const { version } = JSON.parse(readFileSync(pathOf('package.json'), 'utf8'))
await bundle('dist/keeper/main.js', {
  external: ['koffi'],
  plugins: [
    ...common.plugins,
    dormant(/platform[/]windows[/]windows[.]js$/, ['windows', 'loadContainers']),
    dormant(/platform[/]posix[/]choose-posix[.]js$/, ['choosePosix'])
  ],
  // V8 keeps the text of a script: without its blanks each keeper has 0.3 MB less. Names stay, for stack traces.
  minifyWhitespace: true,
  minifySyntax: true,
  // The worker recognises the file by its first line (lib/link/keeper-file.ts).
  banner: {
    js:
      `/*! fastify-subprocess-guard keeper ${version}\n` +
      ' *  includes p-timeout, Copyright (c) Sindre Sorhus, MIT License */'
  }
})
// These share their modules in chunks. Tests load the last three as well: as entries they are the very modules that the package uses.
const entries = [
  'index',
  'adapters/express',
  'cli/subprocess-guard',
  'time/deadlines',
  'time/expiry-queue',
  'link/keeper-health-check'
]
await build({
  ...common,
  entryPoints: entries.map((entry) => pathOf(`dist/${entry}.js`)),
  outdir: pathOf('dist'),
  outbase: pathOf('dist'),
  splitting: true,
  // One folder deep, like the module that looks for the keeper's file (lib/link/keeper-file.ts).
  chunkNames: 'chunks/[name]-[hash]',
  packages: 'external'
})
for (const entry of ['harness/worker-main', 'harness/watched-main', 'windows/server-main']) {
  await bundle(`build/test/${entry}.js`, {
    external: ['fastify-subprocess-guard', 'close-with-grace'],
    // Fastify and Express are CommonJS.
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)"
    }
  })
}

/**
 * Puts a module and its imports into a function that is called when the module is imported. As functions of the bundle itself, those for another
 * operating system would take memory in each keeper, although none is ever called.
 */
function dormant(filter, names) {
  const load = async ({ path }) => {
    const options = { external: ['koffi'], format: 'iife', globalName: 'module', write: false }
    const { outputFiles } = await build({ ...common, ...options, entryPoints: [path] })
    // The bundled text requires what the modules import from Node.
    const text = `const require = process.getBuiltinModule; ${outputFiles[0].text}`
    const contents = `export const { ${names} } = (() => { ${text}; return module })()`
    return { contents }
  }
  return { name: 'dormant', setup: ({ onLoad }) => onLoad({ filter }, load) }
}

/** Replaces a compiled entry by a bundle of the entry and its imports. */
function bundle(entry, options) {
  return build({
    ...common,
    entryPoints: [pathOf(entry)],
    outfile: pathOf(entry),
    ...options
  })
}
