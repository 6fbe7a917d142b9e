/** The containment level of the servers in this process: a file runs at the level `tree` where the test of that level says so. */

/** `SUBPROCESS_GUARD_SYSTEM` chooses what finds processes (lib/platform/own-system.ts). */
export const isTreeLevel = process.env.SUBPROCESS_GUARD_SYSTEM === 'posix'

export const level = isTreeLevel ? 'tree' : 'subreaper'
