/** Why a scope closed. The first reason wins. */

export const closeReasons = [
  'finished',
  'deadline',
  'disconnected',
  'shutdown',
  'worker-gone',
  'worker-hung',
  'keeper-lost',
  'closed',
  'failed'
] as const

/**
 * Why a scope closed:
 * - `finished`: the response was sent
 * - `deadline`: the request did not end within its `timeout`
 * - `disconnected`: the client went away before the response was sent
 * - `shutdown`: the server closed and `drain` ran out
 * - `worker-gone`: the worker ended, however it ended
 * - `worker-hung`: the worker's event loop was blocked for too long
 * - `keeper-lost`: the keeper ended while the scope was open
 * - `closed`: the user called `close()`
 * - `failed`: the handler threw
 */
export type CloseReason = (typeof closeReasons)[number]

/** Those for which the guard answers the request in place of its handler. */
export type CutReason = Extract<CloseReason, 'deadline' | 'shutdown' | 'keeper-lost'>
