// Which folder may import which. `npm run lint` enforces it, and `npm run architecture` draws the picture in docs/architecture.md.

const folders = 'adapters guard subprocess link cli keeper watch sweep containment wire time platform'.split(
  ' '
)
// From top to bottom: a layer imports only from the layers below it.
const layers = [
  ['index', '^lib/index[.]ts$'],
  ...folders.map((folder) => [folder, `^lib/${folder}/`]),
  ['vocabulary', '^lib/[^/]+[.]ts$']
]
const paths = layers.map(([, path]) => path)

const upwards = layers.slice(0, -1).map(([name, path], index) => ({
  name: `no-arrow-up-to-${name}`,
  comment: 'Imports go downwards only: move what is needed to a lower folder, or pass it as an argument.',
  severity: 'error',
  from: { path: paths.slice(index + 1), pathNot: paths.slice(0, index + 1) },
  to: { path }
}))

const worker = ['^lib/(adapters|guard|subprocess|link)/', '^lib/index[.]ts$']

module.exports = {
  forbidden: [
    ...upwards,
    {
      name: 'process-boundary',
      comment: 'Worker and keeper share a socket, not code: what both need is in lib/wire or below.',
      severity: 'error',
      from: { path: worker },
      to: { path: '^lib/(keeper|cli)/' }
    },
    {
      name: 'one-door-to-the-platform',
      comment: 'Import lib/platform/current.ts, which chooses the implementation.',
      severity: 'error',
      from: { path: '^lib/', pathNot: '^lib/platform/' },
      to: { path: '^lib/platform/', pathNot: '^lib/platform/(current|platform)[.]ts$' }
    },
    {
      name: 'frameworks-in-adapters-only',
      comment: 'The core works without any framework.',
      severity: 'error',
      from: { path: '^lib/', pathNot: '^lib/adapters/' },
      to: { path: '^(node_modules/)?(fastify|fastify-plugin|express|@types/express)(/|$)' }
    },
    {
      name: 'koffi-in-platform-only',
      comment: 'koffi is optional: lib/platform decides what to do without it.',
      severity: 'error',
      from: { path: '^lib/', pathNot: '^lib/platform/' },
      to: { path: '^(node_modules/)?koffi(/|$)' }
    },
    {
      name: 'no-circle',
      comment: 'Move what both need to a third file.',
      severity: 'error',
      from: {},
      to: { circular: true }
    },
    {
      name: 'no-orphan',
      comment: 'Nothing imports this file: delete it.',
      severity: 'error',
      from: {
        path: '^lib/',
        pathNot: '^lib/(index|adapters/express|keeper/main|cli/subprocess-guard)[.]ts$',
        orphan: true
      },
      to: {}
    },
    {
      name: 'no-unresolvable',
      comment: 'The import does not exist.',
      severity: 'error',
      from: { path: '^lib/' },
      to: { couldNotResolve: true }
    }
  ],
  options: {
    parser: 'swc',
    // Type-only imports are dependencies of the reader, too.
    tsPreCompilationDeps: true,
    doNotFollow: { path: ['node_modules', '^dist', '^build'] },
    exclude: { path: ['^dist', '^build'] },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'types', 'default'] }
  }
}
