/** What an operating system has to offer: each supported system implements `Platform` once. */

import type { Containment } from '../containment-level.js'
import type { IoPriority } from '../priority-options.js'
import type { ResolvedRlimits } from '../rlimit-options.js'

/** A living process, described for people. */
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
  /** The most resident memory that it has had, in bytes. Absent where the system does not tell. */
  readonly peakMemoryBytes?: number
  /** What it has read from storage, in bytes. Absent where the system does not tell. */
  readonly readBytes?: number
  /** What it has written to storage, in bytes. Absent where the system does not tell. */
  readonly writtenBytes?: number
}

/**
 * What a process has used, with those of its descendants that have ended and were waited for. A number that
 * the system does not tell is 0.
 */
export interface ProcessUsage {
  /** In user mode, in microseconds. */
  readonly userUs: number
  /** In the kernel, in microseconds. */
  readonly systemUs: number
  /** The largest resident memory of any one of these processes, in kB (of 1,024 bytes). */
  readonly maxRssKb: number
  readonly minorFaults: number
  readonly majorFaults: number
  /** Read from storage, in bytes. Absent where the system does not tell. */
  readonly readBytes?: number
  /** Written to storage, in bytes. Absent where the system does not tell. */
  readonly writtenBytes?: number
  readonly voluntarySwitches: number
  readonly involuntarySwitches: number
}

/** One reading of a process: what identifies it, where it is in the process tree, and its state. */
export interface ProcessStat {
  readonly pid: number
  /** The short name that the system keeps. Linux keeps at most 15 characters. */
  readonly name: string
  /**
   * A letter as in ps(1): `R` running, `S` sleeping, `D` waiting for a device, `T` and `t` stopped, `Z`
   * zombie.
   */
  readonly state: string
  /** Process id of its parent. */
  readonly parent: number
  readonly group: number
  readonly session: number
  /**
   * When the process started, on the clock of `ticksNow`. The pid and the start together identify one
   * process.
   */
  readonly startTick: number
  /** The processor time that it has used, in clock ticks; 0 where a list of processes does not show it. */
  readonly cpuTicks: number
  /** The processor time of the children that it has waited for, in clock ticks. Absent where it is not shown. */
  readonly waitedCpuTicks?: number
  /** Its resident memory, in pages. Absent where it is not shown. */
  readonly residentPages?: number
  /** 1 where a list of processes does not show it. */
  readonly threads: number
  /**
   * Identifies the program in memory: the value changes when the process executes another program, and only
   * then. All processes whose memory layout is hidden (those of other users) have the same value.
   */
  readonly image: string
  /** Whether any of its threads still runs. False for a zombie. */
  readonly alive: boolean
  /**
   * Whether it has released its memory, and with it its environment. Such a process starts no other process
   * and becomes a zombie in a moment. True for a zombie too.
   */
  readonly ending: boolean
}

/** What a process uses, as a look tells it that must not take long. */
export interface QuickUsage {
  /** Its resident memory, in bytes. What it shares with others counts for each of them. */
  readonly memoryBytes: number
  /** The processor time of the process and of what it has waited for, in ms. */
  readonly cpuMs: number
}

/** A child that has ended, and how (wait(2)). */
export interface ReapedChild {
  readonly pid: number
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** Undefined if it is not known on this machine. */
  readonly usage: ProcessUsage | undefined
}

/** A program to start. */
export interface ProcessStart {
  /** The program's file. A relative path is resolved from `cwd`. */
  readonly path: string
  /** The first one is the name of the command. */
  readonly args: readonly string[]
  /** As `NAME=value`. */
  readonly env: readonly string[]
  readonly cwd: string
  /**
   * For descriptors 0 to 2: a descriptor of this process, this process's own descriptor of that number, or
   * nothing.
   */
  readonly stdio: readonly (number | 'inherit' | 'ignore')[]
  /**
   * The process group of this session that it joins. If undefined, it becomes the leader of a new session.
   */
  readonly group: number | undefined
  /** The directory of the cgroup that it is born in. If undefined, it is that of this process. */
  readonly cgroup?: string | undefined
}

/**
 * Starts a process. Returns its pid, or a system error number below 0. Throws a `CgroupError` if no process can
 * be born in that cgroup.
 */
export type PosixSpawn = (start: ProcessStart) => number

/**
 * Calls `act` with the number of a new process group of this session that has no leader. The group exists
 * until `act` returns. `act` gets undefined if no group can be made.
 */
export type InNewGroup = <Result>(act: (group: number | undefined) => Result) => Result

/** Which process the system kills first when memory is full: the one with the highest score. */
export interface OomScores {
  /** Opens what `whileRaised` needs, so that the first start takes no longer than others. */
  prepare(): void
  /**
   * Runs `act` while this process has at least this score, so that what it starts has it from birth. If the score
   * cannot be set, calls `onFailure` with the error code first.
   */
  whileRaised<Result>(score: number, act: () => Result, onFailure: (code: string) => void): Result
  /** Raises that of a process. Returns the error code if that is refused. */
  raise(pid: number, score: number): string | undefined
}

/** The order in which processes get a disk. */
export interface IoPriorities {
  /** Runs `act` while this thread has the priority, so that what it starts has it from birth. */
  whileSet<Result>(priority: IoPriority, act: () => Result, onFailure: () => void): Result
  /** Sets that of the main thread of a process, if the system allows it. */
  setOf(pid: number, priority: IoPriority): void
}

/** A program that is to be started with resource limits. */
export interface ProgramCall {
  /** A path, or a name to be searched in the PATH of `env`. */
  readonly file: string
  /** Its `argv[0]`. */
  readonly argv0: string
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
}

/** What a program is started with. */
export interface LaunchLimits {
  readonly rlimits: ResolvedRlimits
  /** Whether it must not get more rights than this process. */
  readonly noNewPrivileges: boolean
}

/** A program that sets limits and then becomes another program. */
export interface Limiter {
  readonly file: string
  /** Its arguments, up to those of the other program. */
  readonly before: readonly string[]
}

/** System calls that Node.js does not offer. */
export interface NativeCalls {
  /**
   * Makes this process the parent of all orphans among its descendants. Returns false if the system refuses.
   */
  becomeOrphanAdopter(): boolean
  /** No program that this thread starts gets more rights than it has. Returns false if the system refuses. */
  denyPrivileges(): boolean
  /** Undefined if this system's C library cannot do it. */
  readonly posixSpawn: PosixSpawn | undefined
  /** Whether `posixSpawn` starts a process in a cgroup without entering it first. */
  readonly startsInCgroup: boolean
  readonly inNewGroup: InNewGroup
  /** Undefined if this system has none. */
  readonly ioPriorities: IoPriorities | undefined
  /** Sets the nice value of all processes of a group. Returns false if it cannot. */
  setNiceOfGroup(group: number, nice: number): boolean
  /**
   * Reaps a child that has ended; -1 reaps any child. Undefined if the child still runs or is no child of
   * this process.
   */
  reap(pid: number): ReapedChild | undefined
  /** Whether a process group has a member. A zombie and another user's process count too. */
  groupExists(group: number): boolean
  /** Returns freed memory to the system, if the C library can. */
  returnFreedMemory(): void
  /**
   * Opens a descriptor that always means this one process, whatever happens to its pid. Undefined if it
   * cannot be opened.
   */
  holdProcess(pid: number): number | undefined
  /** Whether the process of such a descriptor has ended and was reaped. */
  isReaped(descriptor: number): boolean
  /**
   * Sends a signal to the process that `isStill` confirms, and never to a later process with the same pid.
   * Returns the error code, or undefined if the signal was sent.
   */
  signalConfirmed(pid: number, signal: NodeJS.Signals, isStill: () => boolean): string | undefined
}

/** Whether this process has become the parent of its descendants' orphans. */
export interface OrphanAdoption {
  /** Undefined if the native calls could not be loaded. */
  readonly native: NativeCalls | undefined
  readonly adoptsOrphans: boolean
  /** Why it does not adopt them. */
  readonly why?: string
}

/**
 * Cgroups: groups of processes that no process leaves by itself. A cgroup is named by its directory.
 */
export interface Cgroups {
  /**
   * Makes the cgroup of a worker below that of this process, or takes the one that exists, and tries to start
   * a process below it. Returns its directory. Throws an `Error` with the reason if that cannot be done, or if
   * `levelToTry` is against it. `native` is undefined where processes are started by `child_process`.
   */
  makeWorkerCgroup(name: string, native: NativeCalls | undefined): string
  /** Makes a cgroup in that of a worker. Throws a `CgroupError`. */
  makeScopeCgroup(folder: string): void
  /**
   * The kernel kills all processes of the cgroup when they need more memory, in bytes. Does nothing where the cgroup
   * has no memory controller.
   */
  limitMemory(folder: string, bytes: number): void
  /** The limit at which it has killed them, in bytes. Undefined if it has not. */
  exhaustedMemoryOf(folder: string): number | undefined
  /** The cgroups of this user whose names begin so, in all of the hierarchy. Parents before their children. */
  find(prefix: string): string[]
  /** The cgroups directly below one. Empty if it does not exist. */
  below(folder: string): string[]
  /** The path of the cgroup of a process, zombies included. Undefined if that is hidden. */
  pathOf(pid: number): string | undefined
  /**
   * The pids of the living processes in a cgroup and in those below it. Empty if it does not exist. Any of them
   * may have been reused since: read the process, and then its `pathOf`.
   */
  pidsIn(folder: string): number[]
  /** Whether any of these is alive. False if the cgroup does not exist. */
  isPopulated(folder: string): boolean
  /**
   * Runs `act` while this process is in a cgroup, so that what it starts is born there. Throws a
   * `CgroupError` if it cannot enter. May take 15 ms.
   */
  inside<Result>(folder: string, act: () => Result): Result
  /** Moves a process to the cgroup of this process. Throws a system error. */
  moveOut(pid: number): void
  /** Stops all processes of a cgroup. Resolves when they have stopped, or after 50 ms. Rejects if it is gone. */
  freeze(folder: string): Promise<void>
  /** Lets them run again. Throws if it is gone. */
  thaw(folder: string): void
  /**
   * Kills all processes of a cgroup at once and returns their pids. Throws if it is gone, or if this process is
   * one of them.
   */
  kill(folder: string): number[]
  /**
   * What the processes of a cgroup have used: processor time in ms, and where its controllers tell, the most
   * processes at a time, and bytes from and to storage.
   */
  usageOf(folder: string): CgroupUsage
  /** Removes a cgroup with those below it. Returns false if a process is in one of them. */
  remove(folder: string): boolean
}

/** What a cgroup tells. The memory of its processes together is not among it: see `UsageSummary`. */
export interface CgroupUsage {
  readonly cpuMs?: number
  readonly peakProcesses?: number
  readonly readBytes?: number
  readonly writtenBytes?: number
}

/** The users, groups and capabilities of one process, held open: they are never those of another process. */
export interface ProcessRights {
  /**
   * The rights at present, as a text to compare. Undefined if the process is gone. Needs no free descriptor.
   */
  read(): string | undefined
  close(): void
}

/** A directory as another process sees it, held open. */
export interface ForeignFolder {
  /** A short path to it, valid for this process until `close`. */
  readonly path: string
  close(): void
}

/** A directory that all servers of this user share, and that no other user can replace or write to. */
export interface OwnFolder {
  readonly path: string
  /** The paths that are occupied by something else, each with what it is. Normally empty. */
  readonly squatted: readonly string[]
}

/** A command whose program is looked for. */
export interface ProgramToFind {
  /** A path, or a name to be searched in the directories of `path`. */
  readonly file: string
  /** An absolute path. */
  readonly cwd: string
  /** The value of the command's PATH. */
  readonly path: string
}

/** A shell that runs a command line. */
export interface ShellCommand {
  readonly file: string
  /** Without the name of the command. */
  readonly args: readonly string[]
  /** Whether the arguments are passed on as they are (`windowsVerbatimArguments`). */
  readonly isVerbatim?: boolean
}

/**
 * The functions that the package needs from an operating system. The pid and the start time of a process
 * together identify it. "Hidden" means that this user may not see it.
 *
 * Functions that read processes throw if no file descriptor is left (`isOutOfDescriptors`): a failed reading
 * proves nothing. None of the functions uses `this`.
 */
export interface Platform {
  // Support

  /** The strongest level of containment that this operating system can have. */
  readonly bestContainment: Containment
  /** The containment level without native calls: how processes are found that are no children of the keeper. */
  readonly scanLevel: 'marks' | 'tree'
  /** Why this operating system is not supported. Undefined if it is. */
  whyUnsupportedSystem(): string | undefined
  /** Why no process can be found, and so none can be ended, with the way out. Undefined if they can. */
  whyUnsupported(): string | undefined
  /** Why the command line can show no process at all. Undefined if it can. */
  whyNoProcessIsVisible(): string | undefined
  /**
   * Whether processes are listed under the pids that this process knows them by, and not by those of another
   * PID namespace.
   */
  listsOwnPids(): boolean

  // Processes

  /** Whether processes can be listed. If not, only what this process has started is known. */
  readonly listsProcesses: boolean
  /** Reads a process. Undefined if there is none with that pid. */
  statOf(pid: number): ProcessStat | undefined
  /**
   * The same for a child of this process that it has not reaped. `'unread'` where a reading takes too long for each
   * start of a process.
   */
  statOfOwnChild(pid: number): ProcessStat | 'unread' | undefined
  /**
   * How long this process has been blocked by programs that list processes, in ms: it neither waited for something else
   * nor used the processor then.
   */
  blockedByReadingMs(): number
  /**
   * Reads all processes without blocking the event loop, so that the other functions know them for the rest of the turn
   * in which this resolves. Undefined where these read each process by itself.
   */
  readonly readAhead: (() => Promise<void>) | undefined
  /** The pids of all processes that this user can see. */
  allPids(): number[]
  /** The same, a few at a time. Synchronous: it needs no thread of Node's pool. */
  eachPid(): Iterable<number>
  /** All processes that this user can see, except those that are left out. */
  allProcesses(isLeftOut?: (pid: number) => boolean): ProcessStat[]
  /**
   * The children of a process, zombies included. One may be missing if another child ends during the reading,
   * so a proof needs more than one reading.
   */
  childrenOf(stat: Pick<ProcessStat, 'pid' | 'threads'>): number[]
  /** The children of a process's main thread, which adopts the orphans. */
  childrenOfMainThread(pid: number): number[]
  /** What a process uses, from what was read with its `stat` if that tells. */
  quickUsageOf(stat: ProcessStat): QuickUsage
  /**
   * The resident memory of a process, in bytes, where what is shared by n processes counts as an n-th for each.
   * It may take milliseconds. Undefined where the system does not tell.
   */
  proportionalMemoryOf(pid: number): number | undefined
  /** How many threads there are on this machine, as a cheap hint. Undefined where it is not cheap to tell. */
  countThreads(): number | undefined
  /** What a running process has used. Undefined if it is gone or hidden, or if the system does not tell. */
  usageOf(pid: number): ProcessUsage | undefined
  /**
   * The processor time of all children together that this process has waited for. Undefined where the system
   * does not tell.
   */
  usageOfChildren(): Pick<ProcessUsage, 'userUs' | 'systemUs'> | undefined
  /** Describes a process for people. `knownCommand` as in `commandOf`. */
  describeProcess(stat: ProcessStat, knownCommand?: string): ScopeProcess
  /**
   * What the main thread of a process waits for in the kernel. Undefined if it does not wait, or if that is
   * hidden.
   */
  kernelWaitOf(pid: number): string | undefined
  /**
   * How long the main thread of a process has waited for a processor since it started, in ms. Undefined if
   * that is unknown.
   */
  processorWaitOf(pid: number): number | undefined
  /**
   * A path to the current directory of a process. It works for every process of the same user, also after the
   * directory was renamed or removed.
   */
  cwdPathOf(pid: number): string

  // Command lines and environments

  /**
   * The command line of a process, for people. If it has none, `knownCommand` (for a process that was started
   * a moment ago) or else its name in brackets.
   */
  commandOf(stat: ProcessStat, knownCommand?: string): string
  /**
   * The arguments of a process, as the system keeps them. Undefined if hidden, empty if it has released its
   * memory.
   */
  argumentTextOf(pid: number): string | undefined
  /** The command line in such a text, for people. Undefined if there is none. */
  commandIn(argumentText: string | undefined): string | undefined
  /** The name of a process in brackets, as ps(1) shows it. */
  bracketedNameOf(stat: ProcessStat): string
  /**
   * The value of a variable in the environment that a process was started with. Undefined if unset or hidden.
   */
  environmentOf(pid: number, name: string): string | undefined
  /** The environment that a process was started with, as the system keeps it. Undefined if hidden. */
  environmentTextOf(pid: number): string | undefined
  /** The value of a variable in such a text. */
  variableIn(environmentText: string, name: string): string | undefined

  // Users and rights

  /**
   * The apparent owner of a process, found without opening a file: its effective user, or root if other users
   * may not inspect it. Undefined if there is no process with that pid.
   */
  ownerOf(pid: number): number | undefined
  /** The real and the effective user of a process. Undefined if hidden. */
  usersOf(pid: number): { real: number; effective: number } | undefined
  /**
   * Whether the program of a process runs with the rights of the file's owner (set-user-ID). True if hidden
   * or gone.
   */
  isSetuid(pid: number): boolean
  /** Holds the rights of a process open. Undefined if they are hidden. */
  openRights(pid: number): ProcessRights | undefined
  /**
   * Whether such rights include any that the process could give up: capabilities, or another user or group to
   * change to.
   */
  canDropRights(rights: string): boolean

  // Signals and system calls

  /** Loads the native calls. Resolves with the reason if they cannot be loaded. */
  loadNativeCalls(): Promise<NativeCalls | Error>
  /** Makes this process the parent of all orphans among its descendants, if the system can. */
  adoptOrphans(): Promise<OrphanAdoption>
  /**
   * Resolves with the pid of the process that adopts the orphans of this one, found by a trial that takes as
   * long as the start of a process. Undefined if the trial failed. Never rejects.
   */
  findOrphanAdopter(): Promise<number | undefined>
  /**
   * Sends a signal by pid, which `isStill` confirms a moment before. Returns the error code, or undefined if
   * it was sent.
   */
  signalByPid(pid: number, signal: NodeJS.Signals, isStill: () => boolean): string | undefined
  /**
   * Whether the signal ends the process by default: it is not caught, ignored or blocked. False if that is
   * hidden.
   */
  hasDefaultAction(pid: number, signal: NodeJS.Signals): boolean

  // Boot, clock and PID namespaces

  /** Identifies this boot of this machine. */
  bootId(): string
  /** The value of `bootId` if the system does not tell. */
  readonly unknownBoot: string
  /**
   * The present time on the clock of start times, in clock ticks since boot. At most some ticks late, never
   * ahead.
   */
  ticksNow(): number
  /** Identifies the PID namespace of this process: a pid means something only within it. */
  pidNamespace(): string
  /** The PID namespace of a process. Undefined if it is gone or hidden. */
  pidNamespaceOf(pid: number): string | undefined
  /** The pids of a process, one for each namespace that it is visible in: first ours, last its own. */
  pidsInNamespaces(pid: number): number[]

  /** Absent on a system without them. */
  readonly cgroups?: Cgroups

  // Priority and limits

  /** Absent on a system without them. */
  readonly oomScores?: OomScores
  /** Sets the nice value of a session against other sessions, where the system has such a thing. */
  setNiceOfSession?(leader: number, nice: number): void
  /**
   * How to start a program with resource limits. Throws a system error, with a message as that of `child_process`, if the
   * program cannot be run or a limit cannot be set. Absent on a system without resource limits.
   */
  limiterOf?(call: ProgramCall, limits: LaunchLimits): Limiter
  /** Whether this system can forbid that a program gets more rights than its parent has. */
  readonly canDenyPrivileges: boolean
  /**
   * What to put before a command line, so that the program gets no more rights than this process. Undefined if
   * there is no such program here.
   */
  privilegeDenier?(): string[] | undefined
  /** The same for what this process starts from now on. Throws an `Error` with the way out if it cannot. */
  denyPrivileges?(native: NativeCalls | undefined): void

  // Files and sockets

  /** Where a program is looked for if the command's environment has no PATH: directories, as in PATH. */
  defaultPath(): string
  /**
   * The absolute path of the program that a keeper starts for a command. Undefined if no directory has it; a
   * given path may lead nowhere. If no file of that name can be executed, the first one.
   */
  findProgram(program: ProgramToFind): string | undefined
  /** Whether paths and the names of variables that differ only in the case of letters are the same. */
  readonly ignoresCase: boolean
  /**
   * Finds or makes the directory that all servers of this user share, and calls `use` with it. If another user
   * has occupied its name, or `use` throws, it is in another place, which `ownFolders` finds. Throws an
   * `Error` with all reasons if every place fails.
   */
  makeOwnFolder(use?: (path: string) => void): OwnFolder
  /** All such directories that exist: more than one if another user has occupied the name for some time. */
  ownFolders(): readonly string[]
  /** Directories for the sockets of keepers, besides those that the environment names. */
  readonly sharedFolders: readonly string[]
  /** How long the path of a socket may be. A longer one is truncated silently. */
  readonly maxSocketPathBytes: number
  /** Sorts directories: first those in which no other user can rename anything. */
  protectedFirst(places: readonly string[]): string[]

  /**
   * Removes a directory with everything in it. Resolves when it is gone, or did not exist. Rejects with the
   * first obstacle, after everything else was removed.
   */
  removeFolder(path: string): Promise<void>
  /**
   * The paths of the Unix sockets that a process listens on, as that process sees them. Throws if they are
   * hidden. Undefined where no process tells them.
   */
  listeningSocketsOf(pid: number): string[] | undefined
  /**
   * Opens a directory at a path as another process sees it, which may have mounts of its own. Throws a system
   * error.
   */
  openFolderOf(pid: number, path: string): ForeignFolder
  /** A directory that always exists. A keeper stays in it, to keep none of the worker's in use. */
  readonly neutralFolder: string

  // Where systems differ in kind

  /** Whether processes are found by the marks in their environments. */
  readonly findsProcessesByMark: boolean
  /** Whether the parent of this process, which had this pid, has ended. */
  isParentGone(parent: number): boolean
  /** Whether `detached` gives a child a session and process group of its own, and nothing else. */
  readonly hasSessions: boolean
  /** Whether Node.js can send a signal here. */
  supportsSignal(signal: NodeJS.Signals): boolean
  /** Why a command cannot outlive its scope. Undefined if it can. `isDirect`: the worker has started it. */
  whyNoRelease(containment: Containment, isDirect: boolean): string | undefined
  /** The way out for limits of a scope, where its processes cannot be looked at. Undefined where they can. */
  whyNoScopeLimits(containment: Containment): string | undefined
  /** The shell that runs a command line: the given one, or the one of this machine. */
  shellCommand(line: string, shell?: string): ShellCommand
  /** Whether a keeper can pass on a standard stream of its worker. */
  canPassOn(descriptor: 0 | 1 | 2): boolean
  /**
   * Whether local sockets are named pipes. They are no files. And of a pipe, only the end that connects can be
   * opened in the way that commands expect of a standard stream: so the worker listens, and the keeper
   * connects.
   */
  readonly usesNamedPipes: boolean
  /** The path of the socket of a keeper that has this directory, and the other way round. */
  socketOf(folder: string): string
  folderOf(socket: string): string
}

/** `problem`: something does not work or will go wrong. `note`: it may. */
export type Severity = 'ok' | 'note' | 'problem'

/** One result of a check, as `subprocess-guard doctor --json` shows it. */
export interface Finding {
  /** The matter that was checked. */
  readonly name: string
  readonly severity: Severity
  /** The result, in sentences. */
  readonly says: string
  /** What to do about it. */
  readonly toDo?: string
}

/** The level of containment that a keeper has here, and the findings that decide it. */
export interface ContainmentCheck {
  readonly containment: Containment
  /** Why it is not the best one of this system. Undefined if it is. */
  readonly why?: string | undefined
  readonly findings: readonly Finding[]
}

/**
 * The checks of `subprocess-guard doctor` that depend on the operating system. Only that command loads them.
 */
export interface PlatformDiagnosis {
  /** Whether the system is supported. If not, no other check is made. */
  checkSystem(): Finding
  /** Whether processes can be found. */
  checkProcessList(): Finding
  /** Which levels of containment a keeper can have. Tries it in this process. */
  checkContainment(): Promise<ContainmentCheck>
  /** Limits and settings of this machine that matter to a server with subprocesses. */
  checkEnvironment(formatBytes: (bytes: number) => string): Promise<Finding[]>
}
