// Which folder may import which. `npm run lint` enforces it, and `npm run architecture` draws the picture in docs/architecture.md.

// From top to bottom: a layer imports only from the layers below it.
const layers = [
  '^lib/index[.]ts$',
  '^lib/adapters/',
  '^lib/guard/',
  '^lib/subprocess/',
  '^lib/link/',
  '^lib/cli/',
  '^lib/keeper/',
  '^lib/watch/',
  '^lib/sweep/',
  '^lib/containment/',
  '^lib/wire/',
  '^lib/time/',
  '^lib/platform/',
  // The vocabulary.
  '^lib/[^/]+[.]ts$'
]

const upwards = layers.slice(0, -1).map((layer, index) => ({
  name: `no-arrow-up-to-${layer.replace(/^\^lib.|\W+$|\W*ts\W*$/g, '')}`,
  comment: 'Imports go downwards only: move what is needed to a lower folder, or pass it as an argument.',
  severity: 'error',
  from: { path: layers.slice(index + 1), pathNot: layers.slice(0, index + 1) },
  to: { path: layer }
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
