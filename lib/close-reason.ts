/** Why a scope closed. The first reason wins. */

export const closeReasons = [
  'finished',
  'deadline',
  'limit',
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
 * - `limit`: its processes exceeded one of its `limits`
 * - `disconnected`: the client closed the connection before the response was sent
 * - `shutdown`: the server closed and `drain` ran out
 * - `worker-gone`: the worker ended for any reason
 * - `worker-hung`: the worker's event loop was blocked for too long
 * - `keeper-lost`: the keeper ended while the scope was open
 * - `closed`: `close()` was called
 * - `failed`: the handler threw
 */
export type CloseReason = (typeof closeReasons)[number]

/** The reasons for which the guard, not the handler, answers the request. */
export type CutReason = Extract<CloseReason, 'deadline' | 'limit' | 'shutdown' | 'keeper-lost'>
