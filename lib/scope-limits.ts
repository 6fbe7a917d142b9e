/** The limits of what the processes of a scope may use together, and how one of them was exceeded. */

/** What the processes of one scope may use together. What is left out is not limited. */
export interface ScopeLimits {
  /** Their resident memory, in bytes. What they share counts once, where the system tells. */
  readonly memory?: number
  /** Their processor time, in ms, that of ended processes included. */
  readonly cpu?: number
  /** How many of them may be alive at the same time. */
  readonly processes?: number
}

/** A limit that the processes of a scope have exceeded. */
export interface ExceededLimit {
  readonly limit: keyof ScopeLimits
  /** The limit, in bytes, ms or processes. */
  readonly value: number
  /** What they were using when that was noticed, in the same unit. */
  readonly used: number
  /** The command line of the process that was largest. For `processes`, of those that were most. */
  readonly command: string
  /** The name of that program. */
  readonly program: string
}
