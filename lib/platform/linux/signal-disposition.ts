/** Tells how a process handles a signal. */

import { constants } from 'node:os'
import { readProc } from './read-proc.js'

/**
 * Whether the signal ends the process by default: it is not caught, ignored or blocked (SigCgt, SigIgn and
 * SigBlk of proc_pid_status(5)). False if that is hidden.
 */
export function hasDefaultAction(pid: number, signal: NodeJS.Signals): boolean {
  const text = readProc(`/proc/${pid}/status`) ?? ''
  const bit = 1n << BigInt(constants.signals[signal] - 1)
  return ['SigBlk', 'SigIgn', 'SigCgt'].every((name) => {
    const [, mask] = new RegExp(`^${name}:\\s+([0-9a-f]+)$`, 'm').exec(text) ?? []
    return mask !== undefined && (BigInt(`0x${mask}`) & bit) === 0n
  })
}
