/** What the kernel says of processes: `/proc`, read without a helper program. */

import {
  closeSync,
  type Dir,
  opendirSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  statSync
} from 'node:fs'
import { constants } from 'node:os'

/** A process that is alive, for a person to read. */
export interface ScopeProcess {
  readonly pid: number
  /** Process id of its parent. */
  readonly parent: number
  readonly command: string
  /** How long ago it started, in ms. */
  readonly ageMs: number
  /** Its resident memory, in bytes. */
  readonly memoryBytes: number
  /** The processor time that it has used, in ms. */
  readonly cpuMs: number
}

/** The fields of `/proc/<pid>/stat` that name and place a process (proc_pid_stat(5)). */
export interface ProcessStat {
  readonly pid: number
  /** At most 15 characters, as the kernel keeps it. */
  readonly name: string
  readonly state: string
  readonly parent: number
  readonly group: number
  readonly session: number
  /** When the process started, in clock ticks since boot. With the pid it names one process. */
  readonly startTick: number
  /** The processor time that it has used, in clock ticks. */
  readonly cpuTicks: number
  readonly threads: number
  /**
   * Where the kernel has put the program and its stack: it changes when the process becomes another program, and only
   * then. The same for all of another user's.
   */
  readonly image: string
  /** Whether any of its threads still runs. A zombie's does not. */
  readonly alive: boolean
  /** Whether it has given its memory back, and with that its environment. It starts no more, and is a zombie in a moment. */
  readonly ending: boolean
}

// One buffer for all reads: everything here is synchronous, so no two reads overlap.
const buffer = Buffer.allocUnsafeSlow(64 * 1024)

const shortReadBytes = 2_048

// With no descriptor left nothing in /proc could be read, and nobody would be found there: this one is kept
// for that.
let reserve: number | undefined = openSync('/dev/null', 'r')

function withDescriptor<Result>(act: () => Result): Result {
  try {
    return act()
  } catch (error) {
    if (!isOutOfDescriptors(error)) throw error
    if (reserve !== undefined) closeSync(reserve)
    // Where it cannot be had again, its number may be another's.
    reserve = undefined
    try {
      return act()
    } finally {
      reserve = openSync('/dev/null', 'r')
    }
  }
}

/**
 * Whether a look at processes failed because this process (EMFILE) or the system (ENFILE) has no file descriptor left. A later look may
 * succeed. Nothing may be concluded from a failed one.
 */
export function isOutOfDescriptors(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'EMFILE' || code === 'ENFILE'
}

/** Whether this process can open no file now. */
export function hasNoDescriptor(): boolean {
  try {
    closeSync(openSync('/', 'r'))
    return false
  } catch (error) {
    return isOutOfDescriptors(error)
  }
}

/** The content of a file in `/proc`, or undefined when the process is gone or may not be looked at. */
function read(path: string): string | undefined {
  try {
    return withDescriptor(() => readAll(path))
  } catch (error) {
    return undefinedIfHidden(error)
  }
}

function readAll(path: string): string {
  const fd = openSync(path, 'r')
  try {
    let text = ''
    for (;;) {
      const length = readSync(fd, buffer, 0, buffer.length, null)
      text += buffer.toString('latin1', 0, length)
      // The kernel fills at least a page before it stops in the middle: another read would only tell of the end.
      if (length < shortReadBytes) return text
    }
  } finally {
    closeSync(fd)
  }
}

/** ENOENT, ESRCH: the process ended. EACCES, EPERM: it is another user's. Anything else is no answer at all. */
function undefinedIfHidden(error: unknown): undefined {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES' || code === 'EPERM') return undefined
  throw error
}

// To the last one that is used here.
const fieldsRead = 26

/** The text of `/proc/<pid>/stat` taken apart: the name, and the fields after it, of which the state is the first. */
function readStat(pid: number): { readonly name: string; readonly fields: readonly string[] } | undefined {
  const text = read(`/proc/${pid}/stat`)
  if (text === undefined || text === '') return undefined
  // The name is in brackets and may itself hold brackets and blanks: the last one closes it.
  const nameEnd = text.lastIndexOf(')')
  return {
    name: text.slice(text.indexOf('(') + 1, nameEnd),
    fields: text.slice(nameEnd + 2).split(' ', fieldsRead)
  }
}

/** What the kernel says of a process, or undefined when there is none of that number. */
export function statOf(pid: number): ProcessStat | undefined {
  const stat = readStat(pid)
  if (stat === undefined) return undefined
  const { name, fields } = stat
  const state = fields[0] ?? '?'
  const threads = Number(fields[17])
  // A process whose main thread has ended shows as a zombie while its other threads run on.
  const alive = (state !== 'Z' && state !== 'X') || threads > 1
  return {
    pid,
    name,
    state,
    parent: Number(fields[1]),
    group: Number(fields[2]),
    session: Number(fields[3]),
    startTick: Number(fields[19]),
    cpuTicks: Number(fields[11]) + Number(fields[12]),
    threads,
    image: `${fields[23]} ${fields[24]} ${fields[25]}`,
    alive,
    ending: !alive || (fields[20] === '0' && threads <= 1)
  }
}

/**
 * The children of a process: those of all its threads, zombies included. The kernel may leave one out when
 * others end during the read (proc_tid_children(5)), so a proof needs more than one look.
 */
export function childrenOf({ pid, threads }: ProcessStat): number[] {
  if (threads <= 1) return childrenOfMainThread(pid)
  const children: number[] = []
  for (const thread of numbersIn(`/proc/${pid}/task`)) pushChildren(children, pid, thread)
  return children
}

/** The children that the main thread of a process has. Orphans come to the main thread of a subreaper. */
export function childrenOfMainThread(pid: number): number[] {
  const children: number[] = []
  pushChildren(children, pid, pid)
  return children
}

function pushChildren(children: number[], pid: number, thread: number): void {
  const text = read(`/proc/${pid}/task/${thread}/children`)
  if (text === undefined) return
  for (const child of text.split(' ')) if (child !== '') children.push(Number(child))
}

/** Whether this kernel lists children by parent (CONFIG_PROC_CHILDREN; gVisor does not). */
export function canListChildren(): boolean {
  return read(`/proc/${process.pid}/task/${process.pid}/children`) !== undefined
}

/** The number of every process of the machine, as far as `/proc` shows it to this user. */
export function allPids(): number[] {
  return numbersIn('/proc')
}

/** The same, a few at a time. Not by Node's thread pool: where there is no room for its threads, Node aborts. */
export function* eachPid(): Generator<number> {
  let folder: Dir
  try {
    folder = opendirSync('/proc')
  } catch (error) {
    if (!isOutOfDescriptors(error)) throw error
    return yield* allPids()
  }
  try {
    for (let entry = folder.readSync(); entry !== null; entry = folder.readSync()) {
      const number = Number(entry.name)
      if (Number.isInteger(number)) yield number
    }
  } finally {
    folder.closeSync()
  }
}

/** Every process of the machine, as far as `/proc` shows it to this user, and but for those left out. */
export function allProcesses(isLeftOut: (pid: number) => boolean = () => false): ProcessStat[] {
  const processes: ProcessStat[] = []
  for (const pid of allPids()) {
    if (isLeftOut(pid)) continue
    const stat = statOf(pid)
    if (stat !== undefined) processes.push(stat)
  }
  return processes
}

/** Where in the kernel the main thread of a process waits; undefined when it does not, and when that is hidden. */
export function kernelWaitOf(pid: number): string | undefined {
  const channel = read(`/proc/${pid}/wchan`)
  if (channel !== undefined && channel !== '' && channel !== '0') return channel
  const number = /^\d+/.exec(read(`/proc/${pid}/syscall`) ?? '')?.[0]
  return number === undefined ? undefined : `system call ${number}`
}

/**
 * How long the main thread of a process has waited for a processor since its start, in ms; undefined where that cannot be told. (The second
 * number of `/proc/<pid>/schedstat`, in ns: sched-stats.rst of the kernel's documentation.)
 */
export function processorWaitOf(pid: number): number | undefined {
  try {
    const waitedNs = read(`/proc/${pid}/schedstat`)?.split(' ')[1]
    return waitedNs === undefined ? undefined : Number(waitedNs) / 1e6
  } catch {
    return undefined
  }
}

/** The value of a variable in the environment that a process was started with; undefined when hidden. */
export function environmentOf(pid: number, name: string): string | undefined {
  const text = environmentTextOf(pid)
  return text === undefined ? undefined : variableIn(text, name)
}

/** The environment that a process was started with, as the kernel keeps it; undefined when hidden. */
export function environmentTextOf(pid: number): string | undefined {
  const path = `/proc/${pid}/environ`
  let text = read(path)
  // Waits out the moment of an exec in which the program is there and what it is given is not.
  for (let waits = 0; text === '' && waits < mostExecWaits; waits++) {
    // Asked before the next look: what had its code by then had its environment, too.
    const wasInExec = isInExec(pid)
    if (wasInExec) Atomics.wait(nobodyWakes, 0, 0, execWaitMs)
    text = read(path)
    if (!wasInExec) break
  }
  return text
}

// The moment takes some 100 µs; longer where the loader has to be read from a disk.
const execWaitMs = 0.1
const mostExecWaits = 50
const nobodyWakes = new Int32Array(new SharedArrayBuffer(4))

/**
 * Whether a process has memory and no code yet: the kernel puts that down at the end of an exec, after the environment
 * (load_elf_binary in fs/binfmt_elf.c). A zombie and a kernel thread have no memory; what is hidden has 1 there.
 */
function isInExec(pid: number): boolean {
  const fields = readStat(pid)?.fields
  return fields !== undefined && Number(fields[20]) > 0 && fields[23] === '0'
}

/** The value of a variable in such a text. */
export function variableIn(text: string, name: string): string | undefined {
  const entry = `${name}=`
  const start = text.startsWith(entry) ? 0 : text.indexOf(`\0${entry}`) + 1
  if (!text.startsWith(entry, start)) return undefined
  const end = text.indexOf('\0', start)
  return text.slice(start + entry.length, end === -1 ? undefined : end)
}

/**
 * The user whose process that seems to be, without reading a file of it: the effective one, or root where others may
 * not look at it. Undefined when there is none of that number.
 */
export function ownerOf(pid: number): number | undefined {
  try {
    return statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid
  } catch (error) {
    return undefinedIfHidden(error)
  }
}

/** Whose rights a process has: its real and its effective user. Undefined when hidden. */
export function usersOf(pid: number): { real: number; effective: number } | undefined {
  const [, real, effective] = /^Uid:\s+(\d+)\s+(\d+)/m.exec(read(`/proc/${pid}/status`) ?? '') ?? []
  return real === undefined ? undefined : { real: Number(real), effective: Number(effective) }
}

/** Whether the program of a process gives it the rights of its owner, whoever starts it. So does one that is hidden or gone. */
export function isSetuid(pid: number): boolean {
  try {
    return (statSync(`/proc/${pid}/exe`).mode & 0o4000) !== 0
  } catch {
    return true
  }
}

/** Whether `/proc` counts processes as this process does. Where it is that of another PID namespace it does not. */
export function isOwnProc(): boolean {
  try {
    return readlinkSync('/proc/self') === String(process.pid)
  } catch {
    // There is none.
    return false
  }
}

/** Why no process could be found here, and so none be ended, with the way out; undefined where they can. */
export function whyUnsupported(): string | undefined {
  if (process.platform !== 'linux') {
    return `${process.platform} is not supported: processes are found in /proc, which only Linux has; run the server on Linux, in a container if need be`
  }
  if (isOwnProc()) return undefined
  return 'this Linux shows no processes: /proc is missing, or that of another PID namespace; mount it (mount -t proc proc /proc)'
}

// Enough to tell one ffmpeg from another, without a log line of kilobytes.
const longestCommand = 200

/**
 * The command line of a process, for a person to read. When there is none it is what the caller knows it by, such as for a
 * process that was started this very moment, else its name in brackets.
 */
export function commandOf(stat: ProcessStat, known = nameOf(stat)): string {
  return commandIn(argumentTextOf(stat.pid)) ?? known
}

/** The arguments of a process, as the kernel keeps them; undefined when hidden, and empty when it has given its memory back. */
export function argumentTextOf(pid: number): string | undefined {
  return read(`/proc/${pid}/cmdline`)
}

/** The command line in such a text, for a person to read; undefined when there is none. */
export function commandIn(text: string | undefined): string | undefined {
  if (text === undefined || text === '') return undefined
  return shortCommand(Buffer.from(text, 'latin1').toString('utf8').replace(/\0+$/, '').replaceAll('\0', ' '))
}

/** The name of a process, for a person to read. */
export function nameOf({ name }: ProcessStat): string {
  return `[${name}]`
}

/** A command line, cut to what fits a log. */
export function shortCommand(command: string): string {
  return command.length > longestCommand ? `${command.slice(0, longestCommand)}…` : command
}

// Of the times in /proc: USER_HZ is 100 on every architecture that Node runs on (time(7)).
const msPerTick = 10

/** What a person wants to know of a process. `known` is as for `commandOf`. */
export function processOf(stat: ProcessStat, known?: string): ScopeProcess {
  const { pid, parent, startTick, cpuTicks } = stat
  const uptimeMs = Number(read('/proc/uptime')?.split(' ')[0]) * 1_000
  return {
    pid,
    parent,
    command: commandOf(stat, known),
    ageMs: Math.max(0, Math.round(uptimeMs - startTick * msPerTick)),
    memoryBytes: residentBytesOf(pid),
    cpuMs: cpuTicks * msPerTick
  }
}

/**
 * Whether the signal ends the process by its default action: it is neither caught nor ignored nor blocked (SigCgt, SigIgn and SigBlk of
 * proc_pid_status(5)). False also where that is hidden.
 */
export function hasDefaultAction(pid: number, signal: NodeJS.Signals): boolean {
  const text = read(`/proc/${pid}/status`) ?? ''
  const bit = 1n << BigInt(constants.signals[signal] - 1)
  return ['SigBlk', 'SigIgn', 'SigCgt'].every((name) => {
    const [, mask] = new RegExp(`^${name}:\\s+([0-9a-f]+)$`, 'm').exec(text) ?? []
    return mask !== undefined && (BigInt(`0x${mask}`) & bit) === 0n
  })
}

/** Resident memory of a process, in bytes (VmRSS of proc_pid_status(5)); 0 when it has none or is gone. */
function residentBytesOf(pid: number): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`) ?? '') ?? []
  return Number(kilobytes ?? 0) * 1_024
}

/** What `bootId` is where the kernel does not tell. */
export const unknownBoot = 'unknown-boot'

/** A text that no other boot of any machine has. */
export function bootId(): string {
  return read('/proc/sys/kernel/random/boot_id')?.trim() ?? unknownBoot
}

/** Names the PID namespace of this process: numbers of processes mean something in it alone. */
export function pidNamespace(): string {
  try {
    return /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? '0'
  } catch {
    // A kernel without namespaces has one.
    return '0'
  }
}

function numbersIn(folder: string): number[] {
  let names: string[] | undefined
  try {
    names = withDescriptor(() => readdirSync(folder))
  } catch (error) {
    names = undefinedIfHidden(error)
  }
  const numbers: number[] = []
  for (const name of names ?? []) {
    const number = Number(name)
    if (Number.isInteger(number)) numbers.push(number)
  }
  return numbers
}
