/** The operating system that this process runs on. All other folders import it from here. */

import type { Containers } from './containers.js'
import { ownSystem } from './own-system.js'
import type { Platform, PlatformDiagnosis } from './platform.js'

/**
 * What this operating system offers. Undefined until `loadPlatform` has resolved: guards, keepers and commands
 * wait for that first.
 */
export let platform: Platform

/** Loads the code for this operating system, and no other. Later calls do nothing. */
export async function loadPlatform(): Promise<void> {
  platform ??= await load()
}

async function load(): Promise<Platform> {
  switch (ownSystem()) {
    case 'linux':
      return (await import('./linux/linux.js')).linux
    case 'posix':
      return (await import('./posix/choose-posix.js')).choosePosix()
    case 'windows':
      return (await import('./windows/windows.js')).windows
  }
}

/** Loads what holds and ends process trees in place of signals. Undefined on a system where signals do. */
export async function loadContainers(): Promise<Containers | undefined> {
  return ownSystem() === 'windows' ? (await import('./windows/windows.js')).loadContainers() : undefined
}

/** Loads the checks of `subprocess-guard doctor`. Servers and keepers do not need them. */
export async function loadDiagnosis(): Promise<PlatformDiagnosis> {
  switch (ownSystem()) {
    case 'linux':
      return (await import('./linux/diagnosis/linux-diagnosis.js')).linuxDiagnosis
    case 'posix':
      return (await import('./posix/diagnosis/posix-diagnosis.js')).posixDiagnosis
    case 'windows':
      return (await import('./windows/diagnosis/windows-diagnosis.js')).windowsDiagnosis
  }
}

// The same on every system.
export { CgroupError } from './cgroup-error.js'
export type * from './containers.js'
export { killTree } from './kill-tree.js'
export { hasNoDescriptor, isOutOfDescriptors } from './out-of-descriptors.js'
export type * from './platform.js'
export { candidatePaths, isExecutable } from './program-paths.js'
export { mayCallSetsid } from './setsid-commands.js'
export { shortCommand } from './short-command.js'
export { unknownUsage } from './unknown-usage.js'
export { whyUnsupportedRuntime } from './unsupported-runtime.js'
