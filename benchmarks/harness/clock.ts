/** A clock that all processes of the machine share. */

/** In ms since some moment. */
export function sharedMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
