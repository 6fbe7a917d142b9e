/** Learns where the main thread hangs, by the inspector: that reaches it between any two steps of JavaScript. */

import { type Debugger, Session } from 'node:inspector'
import pTimeout from 'p-timeout'
import type { Where } from '../keeper/where.js'
import { whatMainThreadDoes } from './native.js'
import { routeOf } from './route.js'

const answersWithinMs = 400
const routeWithinMs = 100
const mostFramesTold = 50

/**
 * Where the main thread is. It is held for the time of the look, some ms, and goes on after that. One that runs
 * no JavaScript does not answer within the time, and is left alone: what it was asked it then drops unseen.
 */
export async function whereIsMainThread(withinMs = answersWithinMs): Promise<Where> {
  const session = new Session()
  try {
    session.connectToMainThread()
    return await look(session, withinMs)
  } catch (error) {
    return { type: 'unknown', why: `the inspector failed: ${(error as Error).message}` }
  } finally {
    // What was asked and not done goes with the session, a pause among it.
    session.disconnect()
  }
}

async function look(session: Session, withinMs: number): Promise<Where> {
  const stops: Debugger.PausedEventDataType[] = []
  const stopped = new Promise<void>((resolve) => {
    session.on('Debugger.paused', ({ params }) => {
      stops.push(params)
      resolve()
    })
  })
  let isHeld = false
  // Enabled only while it is asked: the debugger costs the main thread some of its speed.
  const enabled = new Promise<void>((resolve, reject) => {
    session.post('Debugger.enable', (error) => {
      if (error !== null) return reject(error)
      // A stop that was there before us is told ahead of this answer. One that comes later is taken for ours, even
      // if it is at a `debugger` statement: without us nobody would have stopped there.
      isHeld = stops.length > 0
      if (!isHeld) session.post('Debugger.pause')
      resolve()
    })
  })
  // In two steps: one that does not answer has not been asked to stop.
  if (!(await isInTime(enabled, withinMs))) return runsNoJavaScript()
  if (isHeld) return { type: 'paused' }
  await isInTime(stopped, withinMs)
  const [stop] = stops
  if (stop === undefined) return runsNoJavaScript()
  // We set no breakpoint: a debugger's user did, and it was reached at the same time.
  if (stop.hitBreakpoints !== undefined && stop.hitBreakpoints.length > 0) return { type: 'paused' }
  const { callFrames } = stop
  const route = await pTimeout(routeOf(session, callFrames), {
    milliseconds: routeWithinMs,
    fallback: () => undefined
  })
  // Not left to the end of the session: with another debugger attached, that would not let the main thread go.
  session.post('Debugger.resume')
  session.post('Debugger.disable')
  return { type: 'stack', stack: textOf(callFrames), ...(route === undefined ? {} : { route }) }
}

function isInTime(event: Promise<void>, milliseconds: number): Promise<boolean> {
  const isSo = event.then(() => true)
  return pTimeout(isSo, { milliseconds, fallback: () => false })
}

function runsNoJavaScript(): Where {
  return { type: 'unknown', why: `the main thread runs no JavaScript: ${whatMainThreadDoes()}` }
}

/** Lines as those of an Error's stack. */
function textOf(frames: readonly Debugger.CallFrame[]): string {
  const lines = frames.slice(0, mostFramesTold).map(({ functionName, url, location }) => {
    // Here the first line and column are 0.
    const place = `${url}:${location.lineNumber + 1}:${(location.columnNumber ?? 0) + 1}`
    return functionName === '' ? `    at ${place}` : `    at ${functionName} (${place})`
  })
  const others = frames.length - lines.length
  return [...lines, ...(others > 0 ? [`    and ${others} frames more`] : [])].join('\n')
}
