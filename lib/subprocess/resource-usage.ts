/** `resourceUsage()` of a subprocess: what it has used, with the fields of Node's `process.resourceUsage()`. */

import type { ProcessUsage } from '../platform/current.js'

/**
 * What a command has used, with those of its descendants that have ended and were waited for: the fields of
 * `process.resourceUsage()`, and `wallTime`. Times are in microseconds, `maxRSS` is in kB (1,024 bytes). `fsRead`
 * and `fsWrite` count blocks of 512 bytes. A field that the system does not tell is 0.
 */
export interface SubprocessUsage extends NodeJS.ResourceUsage {
  /** The time from the start of the command to its exit, or until now, in microseconds. */
  wallTime: number
}

const blockBytes = 512

export function resourceUsageOf(usage: ProcessUsage, wallMs: number): SubprocessUsage {
  return {
    userCPUTime: usage.userUs,
    systemCPUTime: usage.systemUs,
    maxRSS: usage.maxRssKb,
    sharedMemorySize: 0,
    unsharedDataSize: 0,
    unsharedStackSize: 0,
    minorPageFault: usage.minorFaults,
    majorPageFault: usage.majorFaults,
    swappedOut: 0,
    fsRead: Math.round((usage.readBytes ?? 0) / blockBytes),
    fsWrite: Math.round((usage.writtenBytes ?? 0) / blockBytes),
    ipcSent: 0,
    ipcReceived: 0,
    signalsCount: 0,
    voluntaryContextSwitches: usage.voluntarySwitches,
    involuntaryContextSwitches: usage.involuntarySwitches,
    wallTime: Math.round(wallMs * 1_000)
  }
}
