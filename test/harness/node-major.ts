/** The major version of the Node that runs the tests. */
export const nodeMajor = Number.parseInt(process.versions.node, 10)
