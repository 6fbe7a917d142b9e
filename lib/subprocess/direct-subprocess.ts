/** Makes a `ChildProcess` that the worker has spawned a `Subprocess` of its scope. */

import type { ChildProcess } from 'node:child_process'
import { Socket } from 'node:net'
import type { FirstSignalTo } from '../options.js'
import { platform } from '../platform/current.js'
import { nameOfChild } from '../wire/name-of-child.js'
import { DelayedEnd } from './delayed-end.js'
import { endWhenSilent } from './end-output-when-silent.js'
import { isHeld } from './held-emitter.js'
import { logUnheardError } from './log-unheard-error.js'
import { overrideMethod, runBefore } from './override-method.js'
import { resourceUsageOf, type SubprocessUsage } from './resource-usage.js'
import type { Subprocess } from './subprocess.js'
import type { SubprocessOwner } from './subprocess-owner.js'
import { type TerminationReport, terminationReport } from './termination-report.js'
import { endOnTimeoutOrAbort } from './timeout-and-signal.js'
import { signalName } from './validate-arguments.js'

/** How the command is ended. */
interface Termination {
  /** The number of the command at the keeper. */
  readonly number: number
  readonly firstSignalTo: FirstSignalTo | undefined
  /** In ms; 0 for no timeout. */
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
  readonly killSignal: NodeJS.Signals
}

/** The keeper adopts the child, and the child gets `terminate()` and the options `timeout` and `signal`. */
export function guardDirectChild(
  child: ChildProcess,
  owner: SubprocessOwner,
  { number, firstSignalTo, timeoutMs, signal, killSignal }: Termination
): Subprocess {
  const { pid } = child
  if (pid === undefined) {
    // Node 20 sends the signal to a pid that was never set: often 0, which is the worker's own process group.
    overrideMethod(child, 'kill', killNothing)
  } else {
    // The worker is the parent and has not reaped the process, so no other process has this pid.
    owner.link.adopt(owner.keeperScope, nameOfChild(pid), { number, firstSignalTo })
  }
  // `stdio` is undefined if Node was out of descriptors.
  const streams = (child.stdio ?? []).filter((stream) => stream instanceof Socket)
  // 'close' waits for each output, those of pipes above descriptor 2 included.
  const outputs = streams.filter((stream) => stream !== child.stdin)
  let hasExited = false
  const startedAt = performance.now()
  let lastUsage: SubprocessUsage | undefined
  let isReported = false
  const end = new DelayedEnd(() => owner.heardAll())
  const onReaped = (): void => {
    if (hasExited) return
    hasExited = true
    stopTimeoutAndSignal()
    if (pid !== undefined) owner.link.reportReaped(owner.keeperScope, pid)
  }
  const onExit = (): void => {
    onReaped()
    if (isReported) return
    isReported = true
    owner.subprocessEnding()
    owner.subprocessEnded(child)
    for (const output of outputs) endWhenSilent(output)
  }
  owner.hold.add(child, onExit)
  // Not by listeners: `listeners()` must return only the user's. And if a listener of ours closed the scope,
  // which holds events back, the user's listeners would still get this event.
  runBefore(child, 'emit', (event, ...values) => {
    if (event === 'exit') {
      onReaped()
      if (end.delays(() => child.emit(event, ...values))) return 'skip'
      onExit()
    } else if (event === 'close') {
      if (end.queues(() => child.emit(event, ...values))) return 'skip'
      owner.hold.delete(child)
    }
    if (event !== 'error') return
    if (pid === undefined) owner.subprocessEnded(child)
    if (child.listenerCount('error') > 0) return
    owner.logError(values[0] as Error, child)
    return 'skip'
  })
  // 'exit' may come later than the end of the output.
  for (const output of outputs) {
    const push = output.push.bind(output)
    const report = (): void => {
      owner.subprocessEnding()
      // That may have closed the scope, which then holds back the events. Not by `output.push`: `endWhenSilent` replaces it.
      if (!isHeld(output)) push(null)
    }
    runBefore(output, 'push', (chunk) => {
      if (chunk !== null) return undefined
      if (end.delays(report)) return 'skip'
      return owner.subprocessEnding()
    })
  }
  for (const stream of streams) logUnheardError(stream, (error) => owner.logError(error, child))
  let termination: Promise<TerminationReport> | undefined
  const terminate = (): Promise<TerminationReport> => {
    if (pid === undefined) return Promise.resolve(terminationReport([]))
    if (!hasExited) Object.assign(child, { killed: true })
    termination ??= owner.terminate(child, number, killSignal).finally(() => {
      termination = undefined
    })
    return termination
  }
  const stopTimeoutAndSignal = endOnTimeoutOrAbort({
    timeoutMs,
    signal,
    end: () => {
      if (pid === undefined || hasExited) return false
      void terminate()
      return true
    },
    onAborted: (error) => child.emit('error', error)
  })
  const resourceUsage = (): SubprocessUsage | undefined => {
    const now = pid === undefined || hasExited ? undefined : platform.usageOf(pid)
    if (now !== undefined) lastUsage = resourceUsageOf(now, performance.now() - startedAt)
    return lastUsage
  }
  return Object.assign(child, {
    resourceUsage,
    terminate,
    [Symbol.asyncDispose]: () => terminate().then(() => {})
  }) as Subprocess
}

/** `kill()` of a command that was not started. Throws a TypeError for an unknown signal. */
function killNothing(signal: NodeJS.Signals | number = 'SIGTERM'): boolean {
  if (signal !== 0) signalName('signal', signal)
  return false
}
