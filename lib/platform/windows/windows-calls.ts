/** System calls of Windows that Node.js does not offer: everything that the level `job` needs. */

import { type CloseWindows, loadCloseWindows } from './close-windows.js'
import { type ConsoleCalls, loadConsoleCalls } from './console-break.js'
import { loadCreateProcess } from './create-process.js'
import { type JobCalls, loadJobCalls } from './job-objects.js'
import { loadPrivatePipeCalls, type PrivatePipeCalls } from './private-pipes.js'
import { loadProcessExitCalls, type ProcessExitCalls } from './process-exits.js'
import { loadProcessHandleCalls, type ProcessHandleCalls } from './process-handles.js'
import { loadStandardStreamCalls } from './standard-streams.js'
import { loadStartProcess, type StartProcess } from './start-process.js'
import { type ListProcesses, loadListProcesses } from './system-processes.js'
import { type Handle, loadWindowsLibrary } from './windows-library.js'

export interface WindowsCalls
  extends JobCalls,
    ProcessHandleCalls,
    ProcessExitCalls,
    ConsoleCalls,
    PrivatePipeCalls {
  readonly startProcess: StartProcess
  readonly listProcesses: ListProcesses
  readonly closeWindows: CloseWindows
  /** The handle of a descriptor of this process. */
  readonly handleOf: (descriptor: number) => Handle
}

/** Loads the calls. Resolves with the reason if they cannot be loaded. */
export async function loadWindowsCalls(): Promise<WindowsCalls | Error> {
  try {
    const library = await loadWindowsLibrary()
    const jobs = loadJobCalls(library)
    const consoles = loadConsoleCalls(library)
    const createProcess = loadCreateProcess(library, jobs)
    const streams = loadStandardStreamCalls(library)
    return {
      ...jobs,
      ...consoles,
      ...loadProcessHandleCalls(library),
      ...loadProcessExitCalls(library),
      ...loadPrivatePipeCalls(library),
      startProcess: loadStartProcess(library, streams, consoles, createProcess),
      listProcesses: loadListProcesses(library),
      closeWindows: loadCloseWindows(library),
      handleOf: library.handleOf
    }
  } catch (error) {
    return error as Error
  }
}
