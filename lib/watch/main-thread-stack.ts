/** Learns where the main thread hangs, by the inspector: that reaches it between any two steps of JavaScript. */

import type { Debugger, Session } from 'node:inspector'
import pTimeout from 'p-timeout'
import type { StackSample } from '../wire/stack-sample.js'
import { whatMainThreadDoes } from './main-thread-wait.js'
import { routeOf } from './route-on-stack.js'

const answersWithinMs = 400
// Once it answers it can be stopped. That takes some 10 ms; with thousands of modules, or of frames, a second. Whoever gives it longer
// to answer expects a busy machine, and gives it as long to stop.
const stopsWithinMs = 2_000
// A round trip between two threads for each frame: a few ms, unless the machine is busy.
const routeWithinMs = 500
const resumesWithinMs = 100
const mostFramesTold = 50

interface Stop {
  /** The innermost first. */
  readonly frames: readonly Debugger.CallFrame[]
  /** Of the scripts; Node 20 leaves them out of the frames. */
  readonly urls: ReadonlyMap<string, string>
}

/**
 * Where the main thread is. It is held for the time of the look, some ms, and goes on after that. One that runs
 * no JavaScript does not answer within the time, and is left alone: what it was asked it then drops unseen.
 */
export async function whereIsMainThread(withinMs = answersWithinMs): Promise<StackSample> {
  // Not imported: the keeper is in the same file, and a Node without an inspector could not run it.
  const inspector = process.getBuiltinModule('node:inspector')
  const session = new inspector.Session()
  try {
    session.connectToMainThread()
    const answers = new Promise<void>((resolve) => session.post('Schema.getDomains', () => resolve()))
    return (await isInTime(answers, withinMs))
      ? await stopAndLook(session, Math.max(stopsWithinMs, withinMs))
      : runsNoJavaScript()
  } catch (error) {
    return { type: 'unknown', why: `the inspector failed: ${(error as Error).message}` }
  } finally {
    // What was asked and not done goes with the session, a pause among it.
    session.disconnect()
  }
}

async function stopAndLook(session: Session, withinMs: number): Promise<StackSample> {
  const stop = await pTimeout(stopMainThread(session), {
    milliseconds: withinMs,
    fallback: () => undefined
  })
  if (stop === undefined) {
    const why = `the main thread did not stop to be looked at within ${withinMs} ms: ${whatMainThreadDoes()}`
    return { type: 'unknown', why }
  }
  if (stop === 'held') return { type: 'paused' }
  const route = await pTimeout(routeOf(session, stop.frames), {
    milliseconds: routeWithinMs,
    fallback: () => undefined
  })
  await pTimeout(letGo(session), { milliseconds: resumesWithinMs, fallback: () => undefined })
  return { type: 'stack', stack: textOf(stop), ...(route === undefined ? {} : { route }) }
}

/** Resolves with the frames in which it was stopped, or when it turns out that a debugger holds it already. */
function stopMainThread(session: Session): Promise<Stop | 'held'> {
  const urls = new Map<string, string>()
  session.on('Debugger.scriptParsed', ({ params: { scriptId, url } }) => urls.set(scriptId, url))
  return new Promise((resolve, reject) => {
    let isStopOurs = false
    session.once('Debugger.paused', ({ params: { callFrames, hitBreakpoints = [] } }) => {
      // Breakpoints we have none: it was reached by a debugger's user, just now.
      resolve(isStopOurs && hitBreakpoints.length === 0 ? { frames: callFrames, urls } : 'held')
    })
    // Enabled only while it is asked: the debugger costs the main thread some of its speed.
    session.post('Debugger.enable', (error) => {
      if (error !== null) return reject(error)
      // A stop that was there before us is told ahead of this answer. One that comes later is ours, be it at a
      // `debugger` statement: without us nobody would have stopped there.
      isStopOurs = true
      session.post('Debugger.pause')
    })
  })
}

/**
 * Not left to the end of the session: with another debugger attached, that would not let the main thread go. And
 * who asks again before it goes on would take our own stop for a debugger's.
 */
function letGo(session: Session): Promise<void> {
  return new Promise((resolve) => {
    session.once('Debugger.resumed', () => resolve())
    // It would stop at the next `debugger` statement, now that there is somebody to stop for.
    session.post('Debugger.setSkipAllPauses', { skip: true })
    session.post('Debugger.resume')
  })
}

function isInTime(event: Promise<void>, milliseconds: number): Promise<boolean> {
  const isSo = event.then(() => true)
  return pTimeout(isSo, { milliseconds, fallback: () => false })
}

function runsNoJavaScript(): StackSample {
  return { type: 'unknown', why: `the main thread runs no JavaScript: ${whatMainThreadDoes()}` }
}

/** Lines as those of an Error's stack. */
function textOf({ frames, urls }: Stop): string {
  const lines = frames.slice(0, mostFramesTold).map(({ functionName, location }) => {
    const { scriptId, lineNumber, columnNumber = 0 } = location
    // Here the first line and column are 0.
    const place = `${urls.get(scriptId) || '<anonymous>'}:${lineNumber + 1}:${columnNumber + 1}`
    return functionName === '' ? `    at ${place}` : `    at ${functionName} (${place})`
  })
  const others = frames.length - lines.length
  return [...lines, ...(others > 0 ? [`    and ${others} frames more`] : [])].join('\n')
}
