/** The last resort of systems without `/proc`: no process can be listed, and `tree-kill` finds the descendants of a command. */

import type { Platform, ProcessStat } from '../platform.js'
import { bracketedNameOf } from './describe-listed.js'
import { posixByPs } from './posix-by-ps.js'

/** `why`: why there is no list of processes. */
export function posixWithoutList(why: string): Platform {
  const consequence =
    'tree-kill finds what descends from a command, as long as that runs; what a killed worker and its keeper leave is ' +
    'not found'
  return {
    ...posixByPs,
    adoptOrphans: async () => ({ native: undefined, adoptsOrphans: false, why: `${why}: ${consequence}` }),
    allPids: () => [],
    allProcesses: () => [],
    argumentTextOf: () => undefined,
    bootId: () => posixByPs.unknownBoot,
    childrenOf: () => [],
    childrenOfMainThread: () => [],
    commandOf,
    describeProcess: (stat, known) => ({
      pid: stat.pid,
      parent: stat.parent,
      command: commandOf(stat, known),
      ageMs: 0,
      memoryBytes: 0,
      cpuMs: 0
    }),
    eachPid: () => [],
    environmentOf: () => undefined,
    environmentTextOf: () => undefined,
    findOrphanAdopter: async () => undefined,
    listsOwnPids: () => false,
    listsProcesses: false,
    openRights: (pid) => (pid === process.pid ? posixByPs.openRights(pid) : undefined),
    ownerOf: () => undefined,
    readAhead: undefined,
    statOf: assumedStat,
    usersOf: () => undefined,
    whyNoProcessIsVisible: () => why,
    whyNoScopeLimits: () => 'leave it out, or install `ps`: without it, no process can be looked at here',
    whyUnsupported: () => undefined
  }
}

function commandOf(stat: ProcessStat, known = bracketedNameOf(stat)): string {
  return known
}

/** Of a process that is only known to exist, maybe as a zombie: it may lead a group. */
function assumedStat(pid: number): ProcessStat | undefined {
  if (!exists(pid)) return undefined
  return {
    pid,
    name: String(pid),
    state: '?',
    parent: pid === process.pid ? process.ppid : 0,
    group: pid,
    session: pid,
    startTick: 0,
    cpuTicks: 0,
    threads: 1,
    image: '',
    alive: true,
    ending: false
  }
}

function exists(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    // EPERM: it is another user's.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
