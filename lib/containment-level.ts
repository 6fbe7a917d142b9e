/** The levels of containment: how the processes of a scope are found, and what escapes all the same. */

// From the weakest to the strongest.
const levels = ['tree', 'marks', 'subreaper', 'job', 'cgroup'] as const

/**
 * How the processes of a scope are found and ended, from the weakest to the strongest:
 *
 * - `tree`: in lists of all processes of the system, by parents, process groups and marks. On macOS and other
 *   POSIX systems, and on Windows without the optional dependency.
 * - `marks`: in the same way, by more exact lists. On Linux without the optional dependency.
 * - `subreaper`: the keeper becomes the parent of all orphans. On Linux.
 * - `job`: by a job object of the kernel. On Windows.
 * - `cgroup`: by a control group of the kernel. On Linux, where the server may write to its own.
 */
export type Containment = (typeof levels)[number]

export const containmentLevels: readonly Containment[] = levels

/** Whether a level is weaker than another one. */
export function isWeaker(level: Containment, than: Containment): boolean {
  return levels.indexOf(level) < levels.indexOf(than)
}

/** What escapes at a level, as a clause for people. */
export const whatEscapes: { readonly [level in Containment]: string } = {
  tree: 'a daemon that leaves its session and its parent can escape',
  marks: 'a daemon that leaves its session and empties its environment can escape',
  subreaper:
    'a daemon that leaves its session and empties its environment can escape if the keeper is killed',
  job: 'no process escapes',
  cgroup: 'no process escapes'
}
