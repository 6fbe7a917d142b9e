/** The native calls under test, and commands started by them. */

import { setTimeout } from 'node:timers/promises'
import type { StartResult, WindowsStart } from '../../../lib/platform/windows/start-process.js'
import type * as Calls from '../../../lib/platform/windows/windows-calls.js'
import type * as Library from '../../../lib/platform/windows/windows-library.js'
import { compiled } from '../../harness/compiled.js'

/** A module of the native layer. */
export function load<Module>(name: string): Promise<Module> {
  return compiled<Module>(`platform/windows/${name}`)
}

const { loadWindowsLibrary } = await load<typeof Library>('windows-library')
/** The system libraries, for what only tests call. */
export const library = await loadWindowsLibrary()

const { loadWindowsCalls } = await load<typeof Calls>('windows-calls')
const loaded = await loadWindowsCalls()
if (loaded instanceof Error) throw loaded

export const calls: Calls.WindowsCalls = loaded

/** A started command. Whoever asks for its exit has its handle closed then. */
export interface Started {
  readonly pid: number
  readonly process: number
  /** Its exit code. */
  readonly exit: Promise<number>
}

/** Starts a command without streams, in a job of its own unless another one is named. */
export function start(
  file: string,
  args: readonly string[],
  more: Partial<WindowsStart> = {},
  startProcess = calls.startProcess
): Started {
  const result = tryStart(file, args, more, startProcess)
  if ('code' in result) throw new Error(`${file}: ${result.code}`)
  let exit: Promise<number> | undefined
  return {
    ...result,
    get exit() {
      exit ??= exitOf(result.process)
      return exit
    }
  }
}

/** Starts Node.js. */
export function startNode(
  path: string,
  args: readonly string[] = [],
  more: Partial<WindowsStart> = {},
  startProcess = calls.startProcess
): Started {
  return start(process.execPath, [path, ...args], more, startProcess)
}

export function tryStart(
  file: string,
  args: readonly string[],
  more: Partial<WindowsStart> = {},
  startProcess = calls.startProcess
): StartResult {
  return startProcess({
    file,
    args: [file, ...args],
    windowsVerbatimArguments: false,
    windowsHide: false,
    env: process.env,
    cwd: process.cwd(),
    stdio: ['ignore', 'ignore', 'ignore'],
    job: more.job ?? calls.createJob(),
    ...more
  })
}

/** Resolves with the exit code of a process, and closes its handle. */
export async function exitOf(process: number): Promise<number> {
  const hold = setInterval(() => {}, 60_000)
  try {
    await new Promise<void>((resolve) => calls.onceEnded(process, resolve))
    return calls.exitCodeOf(process)
  } finally {
    clearInterval(hold)
    calls.closeHandle(process)
  }
}

/** Resolves when no process of the job runs. The host of a console ends a moment after the last program on it. */
export async function untilEmpty(job: number, withinMs = 10_000): Promise<void> {
  const until = performance.now() + withinMs
  while (calls.countActive(job) > 0) {
    if (performance.now() > until) throw new Error(`processes ${calls.jobPids(job)} still run`)
    await setTimeout(10)
  }
}
