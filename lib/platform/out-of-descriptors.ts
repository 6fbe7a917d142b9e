/** Tells when no file descriptor is left. */

import { closeSync, openSync } from 'node:fs'

/**
 * Whether something failed because this process (EMFILE) or the system (ENFILE) has no file descriptor left, or because
 * a program that lists processes could not be run. Nothing may be concluded from a failed reading of processes; a later
 * one may succeed.
 */
export function isOutOfDescriptors(error: unknown): boolean {
  const { code, name } = error as NodeJS.ErrnoException
  // By its name: the bundle of the keeper has the class twice.
  if (name === 'ProcessListError') return true
  return code === 'EMFILE' || code === 'ENFILE'
}

/** Whether this process can open no file at present. */
export function hasNoDescriptor(): boolean {
  try {
    closeSync(openSync('/', 'r'))
    return false
  } catch (error) {
    return isOutOfDescriptors(error)
  }
}
