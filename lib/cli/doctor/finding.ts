/** What the doctor says of one matter. */

/** `problem`: something is lost or will go wrong. `note`: it may. */
export type Severity = 'ok' | 'note' | 'problem'

/** One matter, as `subprocess-guard doctor --json` shows it. */
export interface Finding {
  /** Names the matter. */
  readonly name: string
  readonly severity: Severity
  /** What there is to say of it. */
  readonly says: string
  /** What to do about it, where there is something to be done. */
  readonly toDo?: string
}
