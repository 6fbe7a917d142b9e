/** Asks a keeper for the state of its worker, on the socket that its own descriptors lead to. */

import { closeSync, constants, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import { statOf } from '../platform/current.js'
import { statusHeader } from '../wire/connection-header.js'
import { socketIn, socketPath } from '../wire/socket-folder.js'
import type { WorkerStatus } from '../wire/worker-status.js'

// A keeper answers in milliseconds. One that is stopped never does.
const answeredWithinMs = 1_000
// Whoever answers may be no keeper. So many bytes tell of a hundred thousand processes.
const longestAnswerBytes = 64 * 1024 * 1024
// Of /proc/net/unix: address, references, protocol, flags, type, state, inode and path.
const unixSocket = /^\S+: \S+ \S+ (\S+) \S+ \S+ +(\d+) (.+)$/
// __SO_ACCEPTCON among the flags there: the socket listens (proc_pid_net(5)).
const listening = 0x10000

/** What a keeper has answered, or why it has not. */
export type KeeperAnswer =
  | { readonly type: 'answered'; readonly status: WorkerStatus }
  | { readonly type: 'silent'; readonly why: string }

/** Asks a keeper for its status. It is given a second. */
export async function askKeeper(keeper: number): Promise<KeeperAnswer> {
  const { state } = statOf(keeper) ?? {}
  if (state === 'T' || state === 't') return { type: 'silent', why: 'is stopped' }
  try {
    const folder = openSync(folderOf(keeper), constants.O_RDONLY | constants.O_DIRECTORY)
    try {
      const status = JSON.parse(await answerAt(socketIn(`/proc/self/fd/${folder}`)))
      if (!isStatus(status)) return { type: 'silent', why: 'gives no answer that is understood' }
      return { type: 'answered', status }
    } finally {
      closeSync(folder)
    }
  } catch (error) {
    return { type: 'silent', why: whyOf(error as NodeJS.ErrnoException) }
  }
}

/** As the keeper sees it, which may have mounts of its own. Such a path may be too long to connect to. */
function folderOf(keeper: number): string {
  const own = new Set(socketsOf(keeper))
  // Not through /proc/net: the keeper may have a network of its own, too.
  for (const line of readFileSync(`/proc/${keeper}/net/unix`, 'utf8').split('\n')) {
    const [, flags = '', inode = '', path = ''] = unixSocket.exec(line) ?? []
    if (!own.has(inode) || (Number.parseInt(flags, 16) & listening) === 0) continue
    if (socketPath.test(path)) return `/proc/${keeper}/root/${dirname(path)}`
  }
  throw new Error('has no socket')
}

/** The inodes of its sockets. */
function socketsOf(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((descriptor) => {
    try {
      return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${descriptor}`))?.[1] ?? []
    } catch {
      // Closed since.
      return []
    }
  })
}

function answerAt(path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    const fail = (error: Error): void => {
      socket.destroy()
      clearTimeout(patience)
      reject(error)
    }
    const patience = setTimeout(
      () => fail(new Error(`has not answered within ${answeredWithinMs} ms`)),
      answeredWithinMs
    )
    const parts: Buffer[] = []
    let length = 0
    socket.on('data', (bytes: Buffer) => {
      parts.push(bytes)
      length += bytes.length
      if (length > longestAnswerBytes) fail(new Error('gives no end of an answer'))
    })
    socket.once('error', fail)
    socket.once('end', () => {
      clearTimeout(patience)
      resolve(Buffer.concat(parts).toString('utf8'))
    })
    socket.write(statusHeader)
  })
}

/** Anybody can call a process a keeper: what it says is looked at before it is used. */
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
  if (name === 'SyntaxError') return 'gives no answer that is understood'
  if (code === 'EACCES' || code === 'EPERM') return 'may not be asked by this user'
  if (code === 'ENOENT' || code === 'ECONNREFUSED') return 'cannot be reached: its socket is gone'
  return code === undefined ? message : `cannot be reached: ${message}`
}
