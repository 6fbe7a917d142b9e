/** The keeper's children that it has started itself, and who collects each when it has ended. */

/** Told of the end of a process that is collected. */
export interface ExitListener {
  exited(code: number | null, signal: NodeJS.Signals | null): void
}

// A process has one set of children, whoever in it looks at them.

/** Those that Node collects. A number is in here from its spawn until Node has told of its exit. */
export const reapedByNode = new Set<number>()

/** Those that whoever looks at the children has to collect, and whom to tell. */
export const reapedByWaitpid = new Map<number, ExitListener>()
