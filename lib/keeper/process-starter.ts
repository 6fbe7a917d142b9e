/** The interface of the ways to start a process: posix_spawn(3), `child_process`, or in a container. */

import type { Socket } from 'node:net'
import type { ScopeRecord } from '../containment/scope-record.js'
import type { ProcessUsage } from '../platform/current.js'
import type { LaunchFailure, LaunchRequest } from '../wire/messages.js'

export interface StartRequest
  extends Omit<LaunchRequest, 'env' | 'stdio' | 'firstSignalTo' | 'variables'>,
    Required<Pick<LaunchRequest, 'env'>> {
  /** The mark of the process. It replaces a mark in `env`. */
  readonly mark: string
  /** The number of the command in its scope. */
  readonly command: number
  /** The cgroup that it is born in; undefined for that of the keeper. */
  readonly cgroup?: string
  /** The three standard streams: a connection, the keeper's own stream, or nothing. */
  readonly stdio: readonly (StreamConnection | 'inherit' | 'ignore')[]
}

/** An open connection that becomes a standard stream: as a socket, or as a descriptor of this process. */
export type StreamConnection = Socket | OpenedStream

/** A connection that the keeper has opened or made: see `open-stream.ts` and `made-pipes.ts`. */
export interface OpenedStream {
  readonly descriptor: number
  destroy(): void
}

/** Where a launch takes its connections from. */
export interface StreamConnections {
  /** Makes these connections, so that the worker can connect to them. Throws a system error. */
  make?(connections: readonly number[]): void
  /** The worker has connected to them. */
  noteConnected?(connections: readonly number[]): void
  /** Whether the connection of this number is there. */
  has(connection: number): boolean
  /** Removes and returns it. Undefined when it is not there. Throws a system error. */
  take(connection: number): StreamConnection | undefined
  /** Closes it if it is there: the launch that it is for is over. */
  drop(connection: number): void
}

/** One of the two is called, once: `failed` when nothing was started, else `exited` at the exit. */
export interface StartEvents {
  failed(failure: LaunchFailure): void
  exited(code: number | null, signal: NodeJS.Signals | null, usage: ProcessUsage | undefined): void
}

/** A running process. Its pid cannot be reused before `exited` is called. */
export interface StartedProcess {
  readonly pid: number
  kill(signal: NodeJS.Signals): void
}

/**
 * Starts a process in a session of its own. A program that begins a session itself is started in a group that
 * it does not lead. Returns undefined when the start failed: `failed` is called before or after the return.
 * Throws a `CgroupError` if no process can be born in the cgroup.
 */
export type StartProcess = (request: StartRequest, events: StartEvents) => StartedProcess | undefined

/** The same, for a process of a scope. */
export type StartInScope = (
  request: StartRequest & { readonly scope: ScopeRecord },
  events: StartEvents
) => StartedProcess | undefined
