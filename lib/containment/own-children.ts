/**
 * The processes that the keeper runs for itself: its children, but leaders of no scope and nobody's orphans. A number is
 * in here from its spawn until Node has told of its exit, so that nobody else collects or ends it.
 */

// A process has one set of children, whoever in it looks at them.
export const ownChildren = new Set<number>()
