/** The usage of a process of which the system tells nothing. */

import type { ProcessUsage } from './platform.js'

export const unknownUsage: ProcessUsage = {
  userUs: 0,
  systemUs: 0,
  maxRssKb: 0,
  minorFaults: 0,
  majorFaults: 0,
  voluntarySwitches: 0,
  involuntarySwitches: 0
}
