/** The base of a `ChildProcess` whose process the worker did not spawn. */

import { ChildProcess } from 'node:child_process'
import { channel } from 'node:diagnostics_channel'
import { EventEmitter } from 'node:events'

const created = channel('child_process')

/**
 * Has the prototype of `ChildProcess`, but runs the constructor of `EventEmitter`. The constructor of
 * `ChildProcess` creates a native handle, which keeps itself and everything that it refers to alive until it
 * has spawned a process: here, forever.
 */
export const ChildProcessWithoutHandle = function (): object {
  return Reflect.construct(EventEmitter, [], new.target as unknown as NewableFunction)
} as unknown as new () => ChildProcess
ChildProcessWithoutHandle.prototype = ChildProcess.prototype

/** Publishes the child on the channel `child_process`, as Node's constructor does, for tracing tools. */
export function publishCreated(child: ChildProcess): void {
  if (created.hasSubscribers) created.publish({ process: child })
}
