/** Whose rights a process has. */

/** A user and a group, by number; undefined where the platform has none. */
export interface Rights {
  readonly uid: number | undefined
  readonly gid: number | undefined
}

/** The rights that this process has now. */
export function currentRights(): Rights {
  return { uid: process.geteuid?.(), gid: process.getegid?.() }
}
