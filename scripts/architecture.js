// Draws the folders of lib and their imports into docs/architecture.md: `node scripts/architecture.js`, or with `--check`
// compares the picture with the code.
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { cruise } from 'dependency-cruiser'
import extractDepcruiseOptions from 'dependency-cruiser/config-utl/extract-depcruise-options'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))
const page = 'docs/architecture.md'
const begin = '<!-- picture: npm run architecture -->\n'
const end = '<!-- end of picture -->'

// Where each folder runs. A folder that is missing here fails the script.
const places = {
  'in the worker': ['index', 'adapters', 'guard', 'subprocess', 'link'],
  'in a thread of the worker': ['watch'],
  'in the keeper': ['keeper'],
  'in the command': ['cli'],
  'in several of them': ['sweep', 'containment', 'wire', 'time', 'platform', 'vocabulary']
}
const known = Object.values(places).flat()

const arrows = withoutDetours(await readArrows())
const picture = [
  '```mermaid',
  'flowchart TB',
  ...Object.entries(places).flatMap(([place, folders], index) => [
    `  subgraph place${index}["${place}"]`,
    ...folders.map((folder) => `    ${folder}`),
    '  end'
  ]),
  ...known.flatMap((from) =>
    known.filter((to) => arrows.get(from)?.has(to)).map((to) => `  ${from} --> ${to}`)
  ),
  '```',
  ''
].join('\n')

const text = readFileSync(page, 'utf8')
const from = text.indexOf(begin) + begin.length
const to = text.indexOf(end)
if (from < begin.length || to < from) throw new Error(`${page} lacks the lines ${begin.trim()} and ${end}`)
const drawn = text.slice(0, from) + picture + text.slice(to)
if (!process.argv.includes('--check')) writeFileSync(page, drawn)
else if (drawn !== text) {
  console.error(`the picture in ${page} is not up to date: npm run architecture`)
  process.exitCode = 1
}

/** The folders that each folder imports from. */
async function readArrows() {
  const { output } = await cruise(['lib'], await extractDepcruiseOptions('./.dependency-cruiser.cjs'))
  const arrows = new Map(known.map((folder) => [folder, new Set()]))
  for (const { source, dependencies } of output.modules) {
    if (!source.startsWith('lib/')) continue
    for (const { resolved } of dependencies) {
      if (!resolved.startsWith('lib/')) continue
      const [importer, imported] = [folderOf(source), folderOf(resolved)]
      if (importer !== imported) arrows.get(importer).add(imported)
    }
  }
  return arrows
}

function folderOf(file) {
  const [, name, rest] = file.split('/')
  const folder = rest !== undefined ? name : name === 'index.ts' ? 'index' : 'vocabulary'
  if (!known.includes(folder)) throw new Error(`say in scripts/architecture.js where lib/${folder} runs`)
  return folder
}

/** The arrows without those that lead where a longer way leads, too: the picture stays readable. */
function withoutDetours(arrows) {
  const reaches = (from, to) => [...arrows.get(from)].some((next) => next === to || reaches(next, to))
  return new Map(
    [...arrows].map(([from, targets]) => [
      from,
      new Set([...targets].filter((to) => ![...targets].some((other) => other !== to && reaches(other, to))))
    ])
  )
}
