/**
 * Job objects: groups of processes that no member can leave. A process that a member starts is a member from
 * its first instruction. When the last handle of a job is closed, the kernel ends its processes. This process
 * keeps the only handle, so that is also what happens when this process dies.
 */

import type { Handle, WindowsLibrary } from './windows-library.js'

// winnt.h
const JobObjectBasicAccountingInformation = 1
const JobObjectBasicProcessIdList = 3
const JobObjectExtendedLimitInformation = 9
const JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE = 0x2000
const ERROR_MORE_DATA = 234

export interface JobUsage {
  /** The processes that run. */
  readonly active: number
  /** The processes that were ever in the job. */
  readonly total: number
  /** The processor time of all of them, in microseconds. */
  readonly userUs: number
  readonly systemUs: number
  readonly pageFaults: number
  /** The most memory that one of them had committed, in bytes. */
  readonly peakProcessBytes: number
}

export interface JobCalls {
  /** A new, empty job without a name, so that no other process can open it. */
  createJob(): Handle
  /** Adds a running process. What it has started before stays outside. Throws a system error. */
  assignToJob(job: Handle, process: Handle): void
  /** The pids of the processes that run. */
  jobPids(job: Handle): number[]
  /** How many of its processes run. The quickest proof that none does. */
  countActive(job: Handle): number
  jobUsage(job: Handle): JobUsage
  /**
   * Ends all processes at once. They are gone when `countActive` is 0, a moment later. The job can be used
   * again.
   */
  terminateJob(job: Handle, exitCode: number): void
  /** Lets the processes of the job go on when its last handle is closed. */
  keepWhenClosed(job: Handle): void
}

export function loadJobCalls(library: WindowsLibrary): JobCalls {
  const { declare, check, lastError, pointerBytes, koffi } = library
  const create = declare('intptr_t __stdcall CreateJobObjectW(void *, void *)')
  const set = declare('int __stdcall SetInformationJobObject(intptr_t, int, void *, uint32_t)')
  const query = declare('int __stdcall QueryInformationJobObject(intptr_t, int, void *, uint32_t, void *)')
  const assign = declare('int __stdcall AssignProcessToJobObject(intptr_t, intptr_t)')
  const terminate = declare('int __stdcall TerminateJobObject(intptr_t, uint32_t)')

  // JOBOBJECT_EXTENDED_LIMIT_INFORMATION
  const limitsLayout = library.struct({
    perProcessUserTime: 'int64_t',
    perJobUserTime: 'int64_t',
    flags: 'uint32_t',
    minimumWorkingSet: 'size_t',
    maximumWorkingSet: 'size_t',
    activeProcesses: 'uint32_t',
    affinity: 'size_t',
    priorityClass: 'uint32_t',
    schedulingClass: 'uint32_t',
    io: 'uint64_t [6]',
    processMemory: 'size_t',
    jobMemory: 'size_t',
    peakProcessMemory: 'size_t',
    peakJobMemory: 'size_t'
  })
  // Without JOB_OBJECT_LIMIT_BREAKAWAY_OK, no member can leave.
  const limits = Buffer.alloc(limitsLayout.size)
  limits.writeUInt32LE(JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE, koffi.offsetof(limitsLayout, 'flags'))
  const noLimits = Buffer.alloc(limitsLayout.size)
  const limitsNow = Buffer.alloc(limitsLayout.size)
  // JOBOBJECT_BASIC_ACCOUNTING_INFORMATION: four times, and four numbers.
  const accounting = Buffer.alloc(48)
  let list = Buffer.alloc(8 + 16 * pointerBytes)

  const queryAccounting = (job: Handle): void => {
    const { length } = accounting
    check(
      'QueryInformationJobObject',
      query(job, JobObjectBasicAccountingInformation, accounting, length, null)
    )
  }
  const countActive = (job: Handle): number => {
    queryAccounting(job)
    return accounting.readUInt32LE(40)
  }

  return {
    createJob() {
      const job = check('CreateJobObjectW', create(null, null))
      const { length } = limits
      check('SetInformationJobObject', set(job, JobObjectExtendedLimitInformation, limits, length))
      return job
    },
    assignToJob: (job, process) => void check('AssignProcessToJobObject', assign(job, process)),
    jobPids(job) {
      while (query(job, JobObjectBasicProcessIdList, list, list.length, null) === 0) {
        const error = lastError()
        if (error !== ERROR_MORE_DATA) check('QueryInformationJobObject', 0)
        list = Buffer.alloc(2 * list.length)
      }
      return Array.from({ length: list.readUInt32LE(4) }, (_, index) =>
        // A pid has 32 bits in a field of the size of a pointer.
        list.readUInt32LE(8 + index * pointerBytes)
      )
    },
    countActive,
    jobUsage(job) {
      queryAccounting(job)
      const { length } = limitsNow
      check(
        'QueryInformationJobObject',
        query(job, JobObjectExtendedLimitInformation, limitsNow, length, null)
      )
      const peakAt = koffi.offsetof(limitsLayout, 'peakProcessMemory')
      // Times are in units of 100 ns.
      const microseconds = (at: number): number => Number(accounting.readBigInt64LE(at)) / 10
      return {
        active: accounting.readUInt32LE(40),
        total: accounting.readUInt32LE(36),
        userUs: microseconds(0),
        systemUs: microseconds(8),
        pageFaults: accounting.readUInt32LE(32),
        peakProcessBytes: limitsNow.readUIntLE(peakAt, Math.min(pointerBytes, 6))
      }
    },
    terminateJob: (job, exitCode) => void check('TerminateJobObject', terminate(job, exitCode)),
    keepWhenClosed(job) {
      const { length } = noLimits
      check('SetInformationJobObject', set(job, JobObjectExtendedLimitInformation, noLimits, length))
    }
  }
}
