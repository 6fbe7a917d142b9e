/** Asks a keeper for the status of its worker, on the socket that the keeper listens on. */

import { connect } from 'node:net'
import { dirname } from 'node:path'
import { platform } from '../platform/current.js'
import { statusHeader } from '../wire/connection-header.js'
import { socketPath } from '../wire/socket-folder.js'
import type { WorkerStatus } from '../wire/worker-status.js'

// A keeper answers within milliseconds, unless it is stopped.
const answerTimeoutMs = 1_000
// The peer may not be a keeper, so its answer is limited. This is enough for a hundred thousand processes.
const maxAnswerBytes = 64 * 1024 * 1024

const notUnderstood = 'gives an answer that is not understood'

/** The answer of a keeper, or why there is none. */
export type KeeperAnswer =
  | { readonly type: 'answered'; readonly status: WorkerStatus }
  | { readonly type: 'silent'; readonly why: string }

/** Asks a keeper for its status, for at most one second. Never rejects. */
export async function askKeeper(keeper: number): Promise<KeeperAnswer> {
  const { state } = platform.statOf(keeper) ?? {}
  if (state === 'T' || state === 't') return { type: 'silent', why: 'is stopped' }
  try {
    // The keeper may have mounts of its own, and the full path of its socket may be too long to connect to.
    const folder = platform.openFolderOf(keeper, socketFolderOf(keeper))
    try {
      return await askKeeperAt(platform.socketOf(folder.path))
    } finally {
      folder.close()
    }
  } catch (error) {
    return { type: 'silent', why: whyOf(error as NodeJS.ErrnoException) }
  }
}

/** Asks the keeper with this socket. Never rejects. */
export async function askKeeperAt(socket: string): Promise<KeeperAnswer> {
  try {
    const status = JSON.parse(await answerAt(socket))
    return isStatus(status) ? { type: 'answered', status } : { type: 'silent', why: notUnderstood }
  } catch (error) {
    return { type: 'silent', why: whyOf(error as NodeJS.ErrnoException) }
  }
}

/** The directory of the keeper's socket, as the keeper sees it. */
function socketFolderOf(keeper: number): string {
  const path = platform.listeningSocketsOf(keeper).find((one) => socketPath.test(one))
  if (path === undefined) throw new Error('has no socket')
  return dirname(path)
}

function answerAt(path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    const fail = (error: Error): void => {
      socket.destroy()
      clearTimeout(timer)
      reject(error)
    }
    const timer = setTimeout(
      () => fail(new Error(`has not answered within ${answerTimeoutMs} ms`)),
      answerTimeoutMs
    )
    const parts: Buffer[] = []
    let length = 0
    socket.on('data', (bytes: Buffer) => {
      parts.push(bytes)
      length += bytes.length
      if (length > maxAnswerBytes) fail(new Error('sends an answer that does not end'))
    })
    socket.once('error', fail)
    socket.once('end', () => {
      clearTimeout(timer)
      resolve(Buffer.concat(parts).toString('utf8'))
    })
    socket.write(statusHeader)
  })
}

/** Any process can pretend to be a keeper, so its answer is validated. */
function isStatus(answer: unknown): answer is WorkerStatus {
  const { containment, scopes } = (answer ?? {}) as Partial<WorkerStatus>
  if (typeof containment !== 'string' || !Array.isArray(scopes)) return false
  const isNumber = (value: unknown): boolean => typeof value === 'number'
  return scopes.every((one: unknown) => {
    const { scope, state, route, openMs, deadlineInMs, processes } = (one ?? {}) as Record<string, unknown>
    return (
      [scope, openMs, deadlineInMs ?? 0].every(isNumber) &&
      (state === 'open' || state === 'closing') &&
      typeof (route ?? '') === 'string' &&
      Array.isArray(processes) &&
      processes.every((process) => isNumber(process?.pid))
    )
  })
}

function whyOf({ code, message, name }: NodeJS.ErrnoException): string {
  if (name === 'SyntaxError') return notUnderstood
  if (code === 'EACCES' || code === 'EPERM') return 'may not be asked by this user'
  if (code === 'ENOENT' || code === 'ECONNREFUSED') return 'cannot be reached: its socket is gone'
  return code === undefined ? message : `cannot be reached: ${message}`
}
