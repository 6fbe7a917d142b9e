/**
 * Starts a process by posix_spawn(3). Unlike libuv's fork it copies no page tables: the child runs in its
 * parent's memory until it executes the program. In a process of 50 MB that takes a sixth of the time.
 */

import { closeSync, constants, openSync } from 'node:fs'
import { constants as system } from 'node:os'
import { getSystemErrorName } from 'node:util'
import type { KoffiFunc, LibraryHandle } from 'koffi'
import { CgroupError } from '../cgroup-error.js'
import type { PosixSpawn, ProcessStart } from '../platform.js'
import { insideCgroup } from './cgroup/enter-cgroup.js'

// spawn.h, the same in glibc and musl.
const POSIX_SPAWN_SETPGROUP = 0x02
const POSIX_SPAWN_SETSIGDEF = 0x04
const POSIX_SPAWN_SETSIGMASK = 0x08
const POSIX_SPAWN_SETSID = 0x80
const POSIX_SPAWN_SETCGROUP = 0x100 // glibc since 2.39
// A program causes none of these: the cgroup is gone, or has been prepared for others (clone(2)).
const cgroupErrors = new Set([
  system.errno.EBUSY,
  system.errno.ENODEV,
  system.errno.EOPNOTSUPP,
  system.errno.ENOSYS
])
// fcntl.h (asm-generic, and every architecture that Node runs on)
const F_GETFL = 3
const F_SETFL = 4
// The structures are opaque. These sizes are more than those of any libc: glibc and musl have 336, 80 and 128
// bytes, and less on 32-bit machines.
const attributesBytes = 1_024
const actionsBytes = 512
const signalSetBytes = 512

export interface PosixSpawnBinding {
  readonly posixSpawn: PosixSpawn
  /** Whether it starts a process in a cgroup without entering it. */
  readonly startsInCgroup: boolean
}

type Declare = (signature: string) => KoffiFunc<(...args: unknown[]) => number>

/** Throws if the C library lacks a function or flag (glibc before 2.29, musl before 1.1.24). */
export function loadPosixSpawn(library: LibraryHandle): PosixSpawnBinding {
  const declare: Declare = (signature) => library.func(signature)
  const spawn = declare(
    'int posix_spawn(void *, const char *, void *, void *, const char **argv, const char **envp)'
  )
  const initActions = declare('int posix_spawn_file_actions_init(void *)')
  const addCopy = declare('int posix_spawn_file_actions_adddup2(void *, int, int)')
  const addOpen = declare(
    'int posix_spawn_file_actions_addopen(void *, int, const char *, int, unsigned int)'
  )
  const addFolder = declare('int posix_spawn_file_actions_addchdir_np(void *, const char *)')
  const destroyActions = declare('int posix_spawn_file_actions_destroy(void *)')
  const fcntl = declare('int fcntl(int, int, ...)')

  const inOwnSession = attributesOf(declare, POSIX_SPAWN_SETSID)
  const inGroup = attributesOf(declare, POSIX_SPAWN_SETPGROUP)
  const setGroup = declare('int posix_spawnattr_setpgroup(void *, int)')
  const inCgroup = loadInCgroup(declare)
  const actions = Buffer.alloc(actionsBytes)
  // In the byte order of the machine.
  const pid = new Int32Array(1)

  const start = ({ path, args, env, cwd, stdio }: ProcessStart, attributes: Buffer): number => {
    initActions(actions)
    try {
      let error = addFolder(actions, cwd)
      for (const [target, source] of stdio.entries()) {
        if (source === 'ignore') {
          error ||= addOpen(actions, target, '/dev/null', constants.O_RDWR, 0)
        } else {
          const descriptor = source === 'inherit' ? target : source
          makeBlocking(fcntl, descriptor)
          // Also if both are the same: that clears close-on-exec.
          error ||= addCopy(actions, descriptor, target)
        }
      }
      error ||= spawn(pid, path, actions, attributes, [...args, null], [...env, null])
      return error === 0 ? (pid[0] as number) : -error
    } finally {
      destroyActions(actions)
    }
  }

  const posixSpawn: PosixSpawn = (request) => {
    const { group, cgroup } = request
    if (group !== undefined) setGroup(inGroup, group)
    const attributes = group === undefined ? inOwnSession : inGroup
    const startNow = (): number => start(request, attributes)
    if (cgroup === undefined) return startNow()
    return inCgroup === undefined ? insideCgroup(cgroup, startNow) : inCgroup(attributes, cgroup, startNow)
  }
  return { posixSpawn, startsInCgroup: inCgroup !== undefined }
}

/**
 * Lets `start` start its process in a cgroup, which is set in the attributes. Undefined if this libc cannot.
 */
function loadInCgroup(declare: Declare) {
  try {
    const setCgroup = declare('int posix_spawnattr_setcgroup_np(void *, int)')
    const getFlags = declare('int posix_spawnattr_getflags(void *, void *)')
    const setFlags = declare('int posix_spawnattr_setflags(void *, short)')
    // In the byte order of the machine.
    const flags = new Int16Array(1)
    return (attributes: Buffer, cgroup: string, start: () => number): number => {
      const descriptor = openFolder(cgroup)
      getFlags(attributes, flags)
      setFlags(attributes, (flags[0] as number) | POSIX_SPAWN_SETCGROUP)
      setCgroup(attributes, descriptor)
      try {
        const result = start()
        if (cgroupErrors.has(-result)) throw new CgroupError(cgroup, new Error(getSystemErrorName(result)))
        return result
      } finally {
        setFlags(attributes, flags[0])
        closeSync(descriptor)
      }
    }
  } catch {
    return undefined
  }
}

function openFolder(cgroup: string): number {
  try {
    return openSync(cgroup, constants.O_RDONLY | constants.O_DIRECTORY)
  } catch (error) {
    throw new CgroupError(cgroup, error)
  }
}

/** Attributes with default actions for all signals, none of them blocked, and the given flag. */
function attributesOf(declare: Declare, flag: number): Buffer {
  const attributes = Buffer.alloc(attributesBytes)
  // All bits: sigfillset(3) omits the signals that glibc reserves for itself, which would then stay ignored.
  const every = Buffer.alloc(signalSetBytes, 0xff)
  const none = Buffer.alloc(signalSetBytes)
  const flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | flag
  const errors = [
    declare('int posix_spawnattr_init(void *)')(attributes),
    declare('int posix_spawnattr_setflags(void *, short)')(attributes, flags),
    declare('int posix_spawnattr_setsigdefault(void *, const void *)')(attributes, every),
    declare('int posix_spawnattr_setsigmask(void *, const void *)')(attributes, none)
  ]
  if (errors.some((error) => error !== 0)) throw new Error('the C library lacks a flag of posix_spawn')
  return attributes
}

/**
 * Clears O_NONBLOCK. Node sets it on every socket, and programs do not expect it on their standard streams.
 * Processes that share a stream share the flag.
 */
function makeBlocking(fcntl: (...args: unknown[]) => number, descriptor: number): void {
  const flags = fcntl(descriptor, F_GETFL, 'int', 0)
  if (flags >= 0 && (flags & constants.O_NONBLOCK) !== 0) {
    fcntl(descriptor, F_SETFL, 'int', flags & ~constants.O_NONBLOCK)
  }
}
