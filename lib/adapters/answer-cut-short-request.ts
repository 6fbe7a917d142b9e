/**
 * Answers a request that is cut short, by its deadline, by a limit, by the shutdown or by the loss of the keeper:
 * with an error, such as the 503 of the deadline, or by cutting off an answer that has begun.
 */

import type { ServerResponse } from 'node:http'
import type { CutReason } from '../close-reason.js'
import type { Scope } from '../guard/scope.js'
import { scopeClosedError } from '../guard/scope-closed-error.js'
import { cutOffResponse } from './cut-off-response.js'
import type { ResponseLock } from './response-lock.js'
import type { Transport } from './transport.js'

/** What is needed of the request. */
export interface CutShortRequest {
  readonly response: ServerResponse
  readonly transport: Transport
  /** Undefined if the request has opened no scope. */
  readonly openedScope: Scope | undefined
  /** Whether an error can still be the answer. */
  readonly canAnswer: boolean
  /** Answers with an error, through the framework's own error handler. */
  sendError(lock: ResponseLock, error: Error): void
  /** Locks the response. Later attempts of the handler to answer are logged. */
  takeFromHandler(): ResponseLock
  /** Locks the response, unless it is locked. */
  lockResponse(onDropped: () => void): ResponseLock
  /** Emits the events of the scope's commands that were held back. The handler can no longer answer. */
  resumeEvents(): void
  log(level: 'info' | 'error', fields: object, message: string): void
}

/** Closes the scope of the request and answers it, or cuts off its answer. */
export function answerCutShortRequest(request: CutShortRequest, reason: CutReason): void {
  // Before the scope closes. Otherwise the handler could answer because its commands have ended.
  request.openedScope?.holdEvents()
  if (request.canAnswer) answerWithError(request, reason)
  else cutOffAfterLastWord(request, reason)
}

function answerWithError(request: CutShortRequest, reason: CutReason): void {
  const lock = request.takeFromHandler()
  lock.onEnd = () => request.resumeEvents()
  void request.openedScope?.close(reason)
  try {
    request.sendError(lock, request.openedScope?.closedError() ?? scopeClosedError(reason))
  } catch (err) {
    request.log('error', { err }, 'could not answer a request that was cut short')
    cutOffAnswer(request, true)
  }
}

/** A listener of the scope's signal may end the answer now, or write that it will be incomplete. */
function cutOffAfterLastWord(request: CutShortRequest, reason: CutReason): void {
  void request.openedScope?.close(reason)
  setImmediate(() => {
    // A response that a listener has ended is sent as it is.
    if (!request.response.writableEnded) cutOffAnswer(request, false)
  })
}

/** Ends the connection, so that the client sees that the answer is incomplete. */
export function cutOffAnswer(request: CutShortRequest, isImmediate: boolean): void {
  const { response, transport } = request
  request.lockResponse(() => {}).run(() => cutOffResponse(response, transport, isImmediate))
}
