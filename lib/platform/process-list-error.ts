/** The error of a list of processes that could not be read. */

/** Nothing may be concluded from it, as when no file descriptor is left: a later reading may succeed. */
export class ProcessListError extends Error {
  override readonly name = 'ProcessListError'
  /** As of a failed system call. */
  readonly code: string | undefined

  constructor(message: string, code?: string) {
    super(message)
    this.code = code
  }
}
