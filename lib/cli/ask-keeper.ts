/** Asks a keeper for the status of its worker, on the socket that the keeper listens on. */

import { connect } from 'node:net'
import { dirname } from 'node:path'
import { platform } from '../platform/current.js'
import { statusHeader } from '../wire/connection-header.js'
import { keeperMarkName } from '../wire/mark.js'
import { findSocketFolders, socketPath } from '../wire/socket-folder.js'
import type { WorkerStatus } from '../wire/worker-status.js'

// A keeper answers within milliseconds, but waits its turn on a busy machine, which is when this is asked.
const answerTimeoutMs = 5_000
// The peer may not be a keeper, so its answer is limited. This is enough for a hundred thousand processes.
const maxAnswerBytes = 64 * 1024 * 1024

const notUnderstood = 'gives an answer that is not understood'

/** The answer of a keeper, or why there is none. */
export type KeeperAnswer =
  | { readonly type: 'answered'; readonly status: WorkerStatus }
  | { readonly type: 'silent'; readonly why: string }

/** Asks a keeper for its status, for at most 5 s. Never rejects. */
export async function askKeeper(keeper: number): Promise<KeeperAnswer> {
  const { state } = platform.statOf(keeper) ?? {}
  if (state === 'T' || state === 't') return { type: 'silent', why: 'is stopped' }
  try {
    const folders = socketFoldersOf(keeper)
    if (folders.length === 0) return { type: 'silent', why: 'has no socket that can be found' }
    for (const path of folders) {
      const answer = await askAt(path, keeper)
      // Found by their names, these directories may be those of another keeper of the same worker.
      if (answer.type === 'silent' || folders.length === 1 || answer.status.keeper === keeper) return answer
    }
    return { type: 'silent', why: 'has no socket that can be found' }
  } catch (error) {
    return { type: 'silent', why: whyOf(error as NodeJS.ErrnoException) }
  }
}

async function askAt(path: string, keeper: number): Promise<KeeperAnswer> {
  // The keeper may have mounts of its own, and the full path of its socket may be too long to connect to.
  const folder = platform.openFolderOf(keeper, path)
  try {
    return await askKeeperAt(platform.socketOf(folder.path))
  } finally {
    folder.close()
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

/** The directory of the keeper's socket, as the keeper sees it. Several where only names tell it. */
function socketFoldersOf(keeper: number): string[] {
  const paths = platform.listeningSocketsOf(keeper)
  if (paths !== undefined)
    return paths
      .filter((path) => socketPath.test(path))
      .slice(0, 1)
      .map(dirname)
  const workerMark = platform.environmentOf(keeper, keeperMarkName) ?? ''
  const tmp = platform.environmentOf(keeper, 'TMPDIR')
  return findSocketFolders(workerMark, platform.ownerOf(keeper), tmp)
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
