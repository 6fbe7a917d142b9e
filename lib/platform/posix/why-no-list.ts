/** Tells why no process can be found here, with the way out. */

import { statOf } from './listed-processes.js'

/** Undefined if processes can be listed. */
export function whyNoList(): string | undefined {
  try {
    statOf(process.pid)
    return undefined
  } catch (error) {
    const { message } = error as Error
    return `no processes are visible on ${process.platform}: ${message}; install ps, or allow this process to run it`
  }
}
